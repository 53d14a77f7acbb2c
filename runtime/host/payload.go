package host

// payloads are those of the newest commands. The core knows numbers alone.
type payloads struct {
	entries [payloadPlaces]payload
	next    int
}

// payloadPlaces is more than an agent holds and a coordinator has under way together.
const payloadPlaces = 16

type payload struct {
	command uint64
	data    []byte
}

// keep notes a command's payload. The first one stands.
func (p *payloads) keep(command uint64, data []byte) {
	if len(data) == 0 || p.get(command) != nil {
		return
	}
	p.entries[p.next] = payload{command, data}
	p.next = (p.next + 1) % len(p.entries)
}

// get gives a command's payload; nil: it has none, or is forgotten.
func (p *payloads) get(command uint64) []byte {
	for i := range p.entries {
		if e := &p.entries[i]; e.command == command && e.data != nil {
			return e.data
		}
	}
	return nil
}
