package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"golang.org/x/term"

	"dancer/dancer/proof"
	"dancer/hal"
	"dancer/partner"
	"dancer/runtime/config"
)

// Time and budgets of the proofs. Every question is answered with the small
// budget first, so that one hard question does not keep the others waiting; what
// is then undecided shares the time that is left.
const (
	defaultProofTime = 10 * time.Second
	quickBoxes       = 500
	quickStates      = 100
)

// checkedProof is one answer in the output of `dancer check --json`.
type checkedProof struct {
	config.Place
	Fault bool `json:"fault"` // counts as a fault of the manual
	proof.Finding
}

// problems gives what a person must know of an answer; nothing when all is well.
func (c *checkedProof) problems() config.Problems {
	var out config.Problems
	say := func(what, hint string) {
		out = append(out, config.Problem{File: c.File, Line: c.Line, Column: c.Column, What: what, Hint: hint, Warning: !c.Fault})
	}
	switch {
	case c.Answer == proof.Undecided:
		say(c.Says, c.undecidedHint())
	case c.Answer == proof.Refuted:
		say(c.Says, c.refutedHint())
	}
	if under := c.SaysUnder(); under != "" {
		say(under, "the least violating option runs there and a question goes up: see that somebody answers")
	}
	return out
}

func (c *checkedProof) undecidedHint() string {
	if c.Property == proof.Wins && c.States > 0 {
		return "a ruling may still choose it; remove it if nobody would"
	}
	return "give the proof more time with --proof-time, or the signals narrower ranges"
}

func (c *checkedProof) refutedHint() string {
	switch {
	case c.Property == proof.Domination && c.EmergencyStop:
		return "an emergency stop overrides everything else, so this is for you to know and no fault"
	case c.Property == proof.Domination:
		return "change what it sets, or narrow when"
	case c.Property == proof.Fallback:
		return "it is what runs while a question is open and when nobody answers: name another fallback, hold or on_timeout if that is too little"
	case c.Property == proof.Deadlock:
		return "let one of them end by signals alone"
	}
	return "remove one of the two"
}

// prover proves manuals within one time for all of them.
type prover struct {
	deadline time.Time
	terminal io.Writer // progress; nil: none
	partner  partner.Partner
	known    []provedManual
}

// provedManual is a manual that has been proved for one robot: another with the
// same wiring needs no new proof.
type provedManual struct {
	hash     string
	signals  []hal.Signal
	outputs  []hal.Output
	switches []bool
	findings []proof.Finding
}

// newProver starts the clock.
func newProver(within time.Duration) *prover {
	p := &prover{deadline: time.Now().Add(within)}
	if term.IsTerminal(int(os.Stderr.Fd())) {
		p.terminal = os.Stderr
	}
	return p
}

// file proves the manual of a robot's file, or a manual for every robot beside
// it that names it.
func (p *prover) file(path, kind string, opt config.Options) []checkedProof {
	robots := []string{path}
	switch kind {
	case config.KindRobot:
	case config.KindManual:
		robots = config.RobotsOf(path)
	default:
		return nil
	}
	var all []checkedProof
	for _, path := range robots {
		robot, problems := config.Load(path, opt)
		if robot == nil || robot.Manual == nil || problems.Faults() > 0 {
			continue
		}
		for _, c := range p.robot(robot) {
			if !slices.ContainsFunc(all, func(other checkedProof) bool { return other.Place == c.Place && other.Says == c.Says }) {
				all = append(all, c)
			}
		}
	}
	return all
}

// robot proves the manual of one robot.
func (p *prover) robot(r *config.Robot) []checkedProof { return located(r, p.findings(r)) }

// located says where in the manual the subject of each answer stands, and which
// are faults.
func located(r *config.Robot, findings []proof.Finding) []checkedProof {
	places := r.Places()
	var out []checkedProof
	for _, f := range findings {
		c := checkedProof{Place: config.Place{File: r.ManualPath}, Finding: f}
		if len(f.Reflexes) > 0 && f.Reflexes[0] < len(places.Reflexes) {
			c.Place = places.Reflexes[f.Reflexes[0]]
		} else if f.Action >= 0 && f.Action < len(places.Actions) {
			c.Place = places.Actions[f.Action]
		}
		c.Fault = f.Answer == proof.Refuted &&
			(f.Property == proof.Domination && !f.EmergencyStop || f.Property == proof.Deadlock)
		out = append(out, c)
	}
	return out
}

func (p *prover) findings(r *config.Robot) []proof.Finding {
	m := r.Manual
	one := provedManual{hash: m.Hash, signals: ranges(m.Signals), outputs: m.Outputs, switches: r.Switches()}
	for _, k := range p.known {
		if k.hash == one.hash && slices.Equal(k.signals, one.signals) && slices.Equal(k.outputs, one.outputs) && slices.Equal(k.switches, one.switches) {
			return k.findings
		}
	}
	one.findings = p.run(proof.Tasks(m, one.switches))
	p.known = append(p.known, one)
	return one.findings
}

// ranges keeps of the signals what a proof reads.
func ranges(signals []hal.Signal) []hal.Signal {
	out := make([]hal.Signal, len(signals))
	for i, s := range signals {
		out[i] = hal.Signal{Name: s.Name, Boolean: s.Boolean, Unit: s.Unit, Minimum: s.Minimum, Maximum: s.Maximum}
	}
	return out
}

// run answers every question: quickly first, then those that are left with what
// is left of the time.
func (p *prover) run(tasks []proof.Task) []proof.Finding {
	answers := make([][]proof.Finding, len(tasks))
	open := make([]int, len(tasks))
	for i := range tasks {
		open[i] = i
	}
	for _, o := range []proof.Options{{Boxes: quickBoxes, States: quickStates}, {}} {
		var left []int
		for n, i := range open {
			p.progress(&tasks[i], n+1, len(open))
			answers[i] = tasks[i].Run(p.share(o, len(open)-n))
			if slices.ContainsFunc(answers[i], func(f proof.Finding) bool { return f.Answer == proof.Undecided }) {
				left = append(left, i)
			}
		}
		open = left
		if time.Now().After(p.deadline) {
			break
		}
	}
	p.progress(nil, 0, 0)
	return slices.Concat(answers...)
}

// share bounds one of so many questions that are left.
func (p *prover) share(o proof.Options, questions int) proof.Options {
	now := time.Now()
	end := now.Add(p.deadline.Sub(now) / time.Duration(questions))
	o.Cut = func() bool { return !time.Now().Before(end) }
	o.Tier2, o.Tier3 = p.partner.Corners, p.partner.Forecast
	return o
}

// progress shows a person what is being proved; nil clears the line.
func (p *prover) progress(t *proof.Task, n, of int) {
	if p.terminal == nil {
		return
	}
	text := "\r\x1b[K"
	if t != nil {
		text += fmt.Sprintf("proving %d of %d: %s of %s", n, of, t.Property, t.Subject)
	}
	_, _ = io.WriteString(p.terminal, text) // it is for show: without it nothing is lost
}

// tally is one line about the answers: how many are proved, refuted and open.
func tally(file string, proofs []checkedProof) string {
	counts := map[proof.Answer]int{}
	for i := range proofs {
		counts[proofs[i].Answer]++
	}
	text := fmt.Sprintf("%s: %d of %d claims proved", file, counts[proof.Proved], len(proofs))
	if n := counts[proof.Refuted]; n > 0 {
		text += fmt.Sprintf(", %d refuted", n)
	}
	if n := counts[proof.Undecided]; n > 0 {
		text += fmt.Sprintf(", %d undecided", n)
	}
	return text
}
