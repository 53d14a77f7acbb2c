package mesh

import (
	"errors"
	"fmt"
	"strings"
)

// Parts of every topic of this version.
const (
	// TopicRoot starts every topic.
	TopicRoot = "dancer/v1"
	// ConductorAgent is the agent part of a cell conductor's topics.
	ConductorAgent = "_conductor"
	// RegionCell is the cell part of a region's topics.
	RegionCell = "_region"
	// AnyName stands for every cell, agent or kind in a filter.
	AnyName = "+"
)

// MaxNameBytes bounds the name of a robot, a cell, a conductor or a region.
const MaxNameBytes = 63

// ErrName is the cause of every refused name.
var ErrName = errors.New("bad name")

// ValidName accepts 1 to 63 letters, digits, dots, dashes and underscores that
// begin with a letter or a digit. Such a name is safe in a topic, in a file name
// and in an address.
func ValidName(name string) error {
	if name == "" {
		return fmt.Errorf("%w: empty: give it 1 to %d letters, digits, '.', '-' or '_'", ErrName, MaxNameBytes)
	}
	if len(name) > MaxNameBytes {
		return fmt.Errorf("%w: %q has %d characters: %d are allowed", ErrName, clip(name), len(name), MaxNameBytes)
	}
	for i := range len(name) {
		if c := name[i]; !nameByte(c) || (i == 0 && (c == '.' || c == '-' || c == '_')) {
			return fmt.Errorf("%w: %q: character %q at %d: use letters, digits, '.', '-' and '_', and begin with a letter or a digit", ErrName, name, c, i+1)
		}
	}
	return nil
}

func nameByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '-' || c == '_'
}

// ConductorMember gives the name that a conductor bears as a sender and as a
// member of its cell: "_conductor-<name>".
func ConductorMember(name string) string { return ConductorAgent + "-" + name }

// ValidSender accepts what may stand in Envelope.From: a name, or a conductor's
// member name.
func ValidSender(from string) error {
	if from == ConductorAgent {
		return nil
	}
	return ValidName(strings.TrimPrefix(from, ConductorAgent+"-"))
}

// Topic gives dancer/v1/<cell>/<agent>/<kind>. agent is a robot's name or
// ConductorAgent.
func Topic(cell, agent string, kind Kind) string {
	return TopicRoot + "/" + cell + "/" + agent + "/" + string(kind)
}

// Filter is Topic for subscriptions: any part may be AnyName.
func Filter(cell, agent string, kind Kind) string { return Topic(cell, agent, kind) }

// ParseTopic takes a topic of Topic apart and checks each part.
func ParseTopic(topic string) (cell, agent string, kind Kind, err error) {
	rest, ok := strings.CutPrefix(topic, TopicRoot+"/")
	if !ok {
		return "", "", "", fmt.Errorf("%w: topic %q does not begin with %s/", ErrName, clip(topic), TopicRoot)
	}
	parts := strings.Split(rest, "/")
	if len(parts) != 3 {
		return "", "", "", fmt.Errorf("%w: topic %q: want %s/<cell>/<agent>/<kind>", ErrName, clip(topic), TopicRoot)
	}
	if err := ValidName(parts[0]); err != nil {
		return "", "", "", fmt.Errorf("topic cell: %w", err)
	}
	if parts[1] != ConductorAgent {
		if err := ValidName(parts[1]); err != nil {
			return "", "", "", fmt.Errorf("topic agent: %w", err)
		}
	}
	kind = Kind(parts[2])
	if !kind.Known() {
		return "", "", "", fmt.Errorf("%w: %q", ErrUnknownKind, clip(parts[2]))
	}
	return parts[0], parts[1], kind, nil
}
