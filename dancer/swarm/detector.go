package swarm

// Bounds of a Detector. The oldest goes when there is one more.
const (
	rememberedRulings = 1024 // robot and situation pairs
	rememberedMarkers = 1024 // ids already given out
)

// Detector remembers what the robots of a cell ruled lately, this one included,
// and finds disputes. The zero value is ready. It is not safe for concurrent use.
type Detector struct {
	rulings []Ruled  // oldest first, one per robot and situation
	given   []string // marker ids, oldest first
}

// Observe takes in what a robot ruled and gives the markers that are new. What
// is older than what is remembered of the same robot and situation is ignored.
func (d *Detector) Observe(r Ruled) []DecisionMarker {
	if !d.remember(r) {
		return nil
	}
	var found []DecisionMarker
	for i := range d.rulings {
		if m, ok := Compare(d.rulings[i], r); ok && d.isNew(m.MarkerID) {
			found = append(found, m)
		}
	}
	return found
}

func (d *Detector) remember(r Ruled) bool {
	for i := range d.rulings {
		old := &d.rulings[i]
		if old.Robot != r.Robot || old.Cell != r.Cell || old.Situation.Key != r.Situation.Key {
			continue
		}
		if r.At.Before(old.At) {
			return false
		}
		d.rulings = append(d.rulings[:i], d.rulings[i+1:]...)
		break
	}
	if len(d.rulings) == rememberedRulings {
		d.rulings = append(d.rulings[:0], d.rulings[1:]...)
	}
	d.rulings = append(d.rulings, r)
	return true
}

func (d *Detector) isNew(id string) bool {
	for _, known := range d.given {
		if known == id {
			return false
		}
	}
	if len(d.given) == rememberedMarkers {
		d.given = append(d.given[:0], d.given[1:]...)
	}
	d.given = append(d.given, id)
	return true
}

// Known tells the detector of a marker that is stored already, so that it is not
// given out again after a restart.
func (d *Detector) Known(m *DecisionMarker) { d.isNew(m.MarkerID) }
