package swarm

import (
	"crypto/sha256"
	"encoding/hex"
	"math"
	"sort"
	"strconv"
	"strings"

	"dancer/dancer"
	"dancer/hal"
)

// bins is how finely a signal's range is divided in a situation.
const bins = 20

// Situation is the signature of what a robot perceives, coarse enough that two
// robots can be in the same one. It does not depend on the manual or on the
// outputs: they are what may differ.
type Situation struct {
	Key  string `json:"key"`  // hash of Text, 16 hexadecimal digits
	Text string `json:"text"` // "people=1 range=12 smoke=4": bins of a twentieth of each signal's range
}

// SituationOf gives the signature of the given signals, as a decision found them;
// other signals of the decision, such as what a manual derives, are left out. A
// signal that was not valid reads "invalid"; one without a range counts in whole
// units.
func SituationOf(signals []hal.Signal, d *dancer.Decision) Situation {
	parts := make([]string, 0, len(d.Signals))
	for i := range d.Signals {
		s := &d.Signals[i]
		if signal := find(signals, s.Name); signal != nil {
			parts = append(parts, s.Name+"="+bin(signal, s))
		}
	}
	sort.Strings(parts)
	text := strings.Join(parts, " ")
	sum := sha256.Sum256([]byte(text))
	return Situation{Key: hex.EncodeToString(sum[:8]), Text: text}
}

func find(signals []hal.Signal, name string) *hal.Signal {
	for i := range signals {
		if signals[i].Name == name {
			return &signals[i]
		}
	}
	return nil
}

func bin(signal *hal.Signal, s *dancer.SignalSnapshot) string {
	switch {
	case s.Validity != hal.Valid.String():
		return "invalid"
	case !(signal.Maximum > signal.Minimum):
		return strconv.FormatFloat(math.Floor(s.Value), 'f', 0, 64)
	case signal.Boolean:
		return strconv.FormatFloat(s.Value, 'f', 0, 64)
	}
	share := (s.Value - signal.Minimum) / (signal.Maximum - signal.Minimum)
	return strconv.Itoa(int(min(max(math.Floor(share*bins), 0), bins-1)))
}
