package operator

import (
	"strings"
	"time"
	"unicode"

	"dancer/mesh/breaker"
	"dancer/mesh/impedance"
	"dancer/mesh/quorum"
)

// Kind is what an operator orders. The zero value is nothing.
type Kind string

// The kinds.
const (
	Broadcast Kind = "broadcast"
	Ask       Kind = "ask"
	Delegate  Kind = "delegate"
	Heal      Kind = "heal"
	Freeze    Kind = "freeze"
	Thaw      Kind = "thaw"
)

// Kinds lists them.
var Kinds = []Kind{Broadcast, Ask, Delegate, Heal, Freeze, Thaw}

// Bounds of an order.
const (
	MaxText   = 4096 // bytes of a message, question or task
	MaxName   = 128
	MaxSample = 1000
	// MaxAhead is how far ahead T may be: the core's windows are no longer.
	MaxAhead = 50 * time.Second
	// MaxDeadline is how long an answer may take.
	MaxDeadline = quorum.MaxLength
)

// Defaults of an order.
const (
	DefaultSample        = 100
	DefaultAskDeadline   = 5 * time.Second
	DefaultTaskDeadline  = 30 * time.Second
	defaultFreezeWait    = 10 * time.Second
	DefaultPriority      = breaker.PriorityUrgent
	PatternWave          = "wave"
	PatternParallel      = "parallel"
	PatternPriorityFirst = "priority-first"
)

// Order is what a person wants. Which fields count depends on the kind; one that
// does not is an error, so that nobody believes to have said something.
type Order struct {
	Kind  Kind   `json:"-"`
	By    string `json:"by"`              // who orders; needed
	Scope string `json:"scope,omitempty"` // all (default), sector-N, cluster-N; for ask, delegate and heal also an agent
	Text  string `json:"text,omitempty"`  // broadcast: the message; ask: the question; delegate: the task

	Class      string `json:"class,omitempty"`      // broadcast, ask, delegate: agents of this class alone, A to F
	Capability string `json:"capability,omitempty"` // the same: who has it

	Pattern  string        `json:"pattern,omitempty"`  // broadcast: wave (default), parallel, priority-first
	In       time.Duration `json:"in_ns,omitempty"`    // broadcast: T so far ahead; 0: as soon as all can be READY
	Confirm  bool          `json:"confirm,omitempty"`  // broadcast: agents act with a confirmation alone, which needs the quorum
	Priority *uint8        `json:"priority,omitempty"` // broadcast, ask, delegate: 0 to 3; default 2
	Approved bool          `json:"approved,omitempty"` // the same: a person has approved this very order
	Weight   float64       `json:"weight,omitempty"`   // the same: of the payload, 1 for a standard one

	Sample     int           `json:"sample,omitempty"`      // ask: so many agents; default 100
	Deadline   time.Duration `json:"deadline_ns,omitempty"` // ask (5 s), delegate (30 s): until then an answer is of use
	Idempotent bool          `json:"idempotent,omitempty"`  // delegate: doing it twice does no harm, so it may be hedged
	MaxScore   int           `json:"max_score,omitempty"`   // delegate: impedance of at most so much, 1 to 999
}

// Validate reports the first thing that makes no sense.
func (o *Order) Validate() error {
	if err := o.texts(); err != nil {
		return err
	}
	if err := o.foreign(); err != nil {
		return err
	}
	switch {
	case o.Class != "" && classOf(o.Class) == impedance.ClassUnknown:
		return invalid(o, "give A to F, or edge, serverless, persistent, gpu, local, human", "no class %q", clip(o.Class))
	case o.Priority != nil && *o.Priority > breaker.PriorityCritical:
		return invalid(o, "give 0 (background) to 3 (critical)", "priority %d", *o.Priority)
	case o.In < 0 || o.In > MaxAhead:
		return invalid(o, "T is at most "+MaxAhead.String()+" ahead", "T in %s", o.In)
	case o.Deadline < 0 || o.Deadline > MaxDeadline:
		return invalid(o, "give up to "+MaxDeadline.String(), "a deadline of %s", o.Deadline)
	case !(o.Weight >= 0 && o.Weight <= 1000):
		return invalid(o, "give up to 1000; 1 is a standard payload", "weight %g", o.Weight)
	case o.Sample < 0 || o.Sample > MaxSample:
		return invalid(o, "give 1 to 1000", "a sample of %d", o.Sample)
	case o.MaxScore < 0 || o.MaxScore >= impedance.MaxScore:
		return invalid(o, "give 1 to 999", "an impedance of %d", o.MaxScore)
	}
	return nil
}

func invalid(o *Order, hint, format string, args ...any) error {
	return fault(ErrInvalid, hint, string(o.Kind)+": "+format, args...)
}

// texts checks what is written in words.
func (o *Order) texts() error {
	switch o.Kind {
	case Broadcast, Ask, Delegate:
		if strings.TrimSpace(o.Text) == "" {
			return invalid(o, "write it after the command, in quotes", "there is no text")
		}
	case Heal, Freeze, Thaw:
		if o.Text != "" {
			return invalid(o, "leave it out", "it takes no text")
		}
	default:
		return fault(ErrInvalid, "give broadcast, ask, delegate, heal, freeze or thaw", "no such order %q", clip(string(o.Kind)))
	}
	if strings.TrimSpace(o.By) == "" {
		return invalid(o, "say by: who orders it", "nobody orders it")
	}
	if len(o.Text) > MaxText {
		return invalid(o, "shorten it", "a text of %d bytes; up to %d are possible", len(o.Text), MaxText)
	}
	for _, name := range []string{o.By, o.Scope, o.Class, o.Capability} {
		if len(name) > MaxName || strings.ContainsFunc(name, unicode.IsControl) {
			return invalid(o, "names have up to 128 bytes and no control characters", "the name %q", clip(name))
		}
	}
	if strings.ContainsFunc(o.Text, func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' }) {
		return invalid(o, "leave them out", "the text has control characters")
	}
	switch o.Pattern {
	case "", PatternWave, PatternParallel, PatternPriorityFirst:
	default:
		return invalid(o, "give wave, parallel or priority-first", "no pattern %q", clip(o.Pattern))
	}
	return nil
}

// foreign finds fields that the kind does not have.
func (o *Order) foreign() error {
	asked := o.Kind == Broadcast || o.Kind == Ask || o.Kind == Delegate
	for _, f := range []struct {
		name string
		set  bool
		has  bool
	}{
		{"class", o.Class != "", asked}, {"capability", o.Capability != "", asked}, {"priority", o.Priority != nil, asked},
		{"approved", o.Approved, asked}, {"weight", o.Weight != 0, asked},
		{"pattern", o.Pattern != "", o.Kind == Broadcast}, {"in_ns", o.In != 0, o.Kind == Broadcast}, {"confirm", o.Confirm, o.Kind == Broadcast},
		{"sample", o.Sample != 0, o.Kind == Ask}, {"deadline_ns", o.Deadline != 0, o.Kind == Ask || o.Kind == Delegate},
		{"idempotent", o.Idempotent, o.Kind == Delegate}, {"max_score", o.MaxScore != 0, o.Kind == Delegate},
	} {
		if f.set && !f.has {
			return invalid(o, "leave it out", "it has no %s", f.name)
		}
	}
	return nil
}

// priority with its default.
func (o *Order) priority() uint8 {
	if o.Priority == nil {
		return DefaultPriority
	}
	return *o.Priority
}

// classWords are the names of the classes by number.
var classWords = [...]string{"unknown", "edge", "serverless", "persistent", "gpu", "local", "human"}

// classOf reads a class: its letter, its name, or as the specification writes it
// (CLASS_D_GPU). ClassUnknown: there is none of that name.
func classOf(text string) impedance.Class {
	text = strings.TrimPrefix(strings.ToLower(text), "class_")
	for c := impedance.ClassEdge; c <= impedance.ClassHuman; c++ {
		letter, word := strings.ToLower(c.String()), classWords[c]
		if text == letter || text == word || text == letter+"_"+word {
			return c
		}
	}
	return impedance.ClassUnknown
}

// IsClass says whether a text names a class.
func IsClass(text string) bool { return classOf(text) != impedance.ClassUnknown }

// classes is the mask of an order; 0: all.
func (o *Order) classes() uint8 {
	if c := classOf(o.Class); c != impedance.ClassUnknown {
		return 1 << c
	}
	return 0
}
