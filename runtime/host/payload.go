package host

// texts keeps what goes with messages beside what the core knows: the payloads of the
// newest commands, and the words of the newest answers. Of one key the first stands.
type texts struct {
	entries []text
	next    int
}

type text struct {
	node    uint32
	command uint64
	data    []byte
}

// payloadPlaces is more than an agent holds and a coordinator has under way together;
// wordPlaces are answers for each node of the book, up to maxWords.
const (
	payloadPlaces = 16
	wordPlaces    = 4
	maxWords      = 1024
)

func newTexts(places int) texts { return texts{entries: make([]text, places)} }

// keep notes a text.
func (p *texts) keep(node uint32, command uint64, data []byte) {
	if len(data) == 0 || p.get(node, command) != nil {
		return
	}
	p.entries[p.next] = text{node, command, data}
	p.next = (p.next + 1) % len(p.entries)
}

// get gives a text; nil: there is none, or it is forgotten.
func (p *texts) get(node uint32, command uint64) []byte {
	for i := range p.entries {
		if e := &p.entries[i]; e.command == command && e.node == node && e.data != nil {
			return e.data
		}
	}
	return nil
}
