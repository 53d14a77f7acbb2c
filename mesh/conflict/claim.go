package conflict

import "dancer/mesh"

// Claim is what somebody found, in words: the edge makes a Report of it.
type Claim struct {
	Detail
	Agent    string // who found it; "": the owner of the log
	Source   string // who sent the received value, where that is known
	Message  string // id of the message that brought it
	Subject  string // what the two values are of: one fact has one subject
	Expected string
	Received string
	Data     []byte     // what is quarantined; nil: nothing
	Rule     Resolution // what a rule has made of it; zero: it stays open
}

// Key of the claim's conflict.
func (c *Claim) Key() Key { return KeyOf(c.Type, c.Subject, c.Expected, c.Received) }

// OfRulings is the contradiction of two rulings on one question: standing is the
// one that was given before, given the new one. Of two rulings the more
// restrictive stands, whoever gave it.
func OfRulings(standing, given mesh.Ruling) Claim {
	rank := func(verdict string) uint8 { return uint8(mesh.Restrictiveness(verdict)) }
	return Claim{
		Detail: Detail{Type: DataContradiction}, Subject: "ruling on question " + given.Escalation,
		Expected: words(standing), Received: words(given),
		Rule: Trace(Provenance{Restrictive: rank(standing.Verdict)}, Provenance{Restrictive: rank(given.Verdict)}),
	}
}

func words(r mesh.Ruling) string {
	if r.Option != "" {
		return r.Verdict + " " + r.Option + " by " + r.By
	}
	return r.Verdict + " by " + r.By
}

// OfNames is the contradiction of two members of a cell that bear one name,
// usually on cloned cards: there is one fact, where that name is, and two values.
// Nothing that either says can be told apart from the other's until one is given
// another name, which is for a person to do.
func OfNames(cell, name, first, second string) Claim {
	c := Claim{
		Detail: Detail{Type: DataContradiction}, Subject: "address of " + name + " in cell " + cell,
		Expected: min(first, second), Received: max(first, second), // who was first depends on who looks
	}
	if mesh.ValidSender(name) == nil {
		c.Source = name
	}
	return c
}
