package operator

import (
	"errors"
	"slices"
	"time"

	"dancer/mesh/breaker"
	"dancer/mesh/coordination"
	"dancer/mesh/packet"
)

// question asks a sample of agents, each by its own lead, and groups what they say.
type question struct {
	asked    []asked
	window   time.Duration
	until    time.Duration // by when all must have been asked
	requires uint64
	changed  bool
}

// asked is one agent of the sample.
type asked struct {
	agent   int32
	state   answerState
	command uint64
	value   uint64
	at      time.Duration
	took    time.Duration
	why     string // it could not be asked
}

type answerState uint8

const (
	toAsk answerState = iota
	underWay
	answered
	conflicting
	silent
)

func (q *question) begin(d *Desk, o *operation) error {
	d.look(d.cores.Now())
	sample := o.order.Sample
	if sample == 0 {
		sample = DefaultSample
	}
	q.window = o.order.Deadline
	if q.window == 0 {
		q.window = DefaultAskDeadline
	}
	q.requires = d.requires(&o.order)
	for _, agent := range d.sample(o, sample) {
		q.asked = append(q.asked, asked{agent: agent})
	}
	if len(q.asked) == 0 {
		return d.nobody(o)
	}
	q.until = o.started + q.window
	o.Ask = &AskResult{Asked: len(q.asked), Waiting: len(q.asked), Groups: []Answer{}}
	return q.try(d, o)
}

// requires is the mask of an order's capability.
func (d *Desk) requires(o *Order) uint64 {
	if bit, err := d.shape.capability(o.Capability); o.Capability != "" && err == nil {
		return 1 << bit
	}
	return 0
}

// nobody says that no agent fits an order.
func (d *Desk) nobody(o *operation) error {
	return fault(ErrNobody, "dancer agents with the same --class, --capability and --scope shows who there is", "%s %s: no agent that fits can be asked now", o.Kind, o.Scope)
}

// fits says whether an agent may be asked for an order.
func (d *Desk) fits(o *operation, agent int32, requires uint64) bool {
	if !d.view.asked(agent) || !d.shape.has(o.place, agent) || !d.view.class(agent).Counted() {
		return false
	}
	if classes := o.order.classes(); classes != 0 && classes>>d.view.class(agent)&1 == 0 {
		return false
	}
	if requires == 0 {
		return true
	}
	e, known := d.view.registry.Read(agentID(agent))
	return known && requires&^uint64(e.Capabilities) == 0
}

// sample draws agents that fit, each as likely as any (reservoir), in their order.
func (d *Desk) sample(o *operation, size int) []int32 {
	var drawn []int32
	seen, requires := 0, d.requires(&o.order)
	for agent := range int32(len(d.view.states)) {
		if !d.fits(o, agent, requires) {
			continue
		}
		if seen++; len(drawn) < size {
			drawn = append(drawn, agent)
		} else if at := d.config.Random.IntN(seen); at < size {
			drawn[at] = agent
		}
	}
	slices.Sort(drawn)
	return drawn
}

// try asks who has not been asked. Where every lead refuses, the order is refused.
func (q *question) try(d *Desk, o *operation) error {
	taken, refusal := false, error(nil)
	for i := range q.asked {
		a := &q.asked[i]
		if a.state != toAsk {
			taken = true
			continue
		}
		err := q.ask(d, o, a)
		if err == nil {
			taken = true
			continue
		}
		a.why = err.Error()
		if errors.Is(err, ErrRefused) || errors.Is(err, ErrInvalid) {
			refusal = err
		}
		if !errors.Is(err, ErrBusy) && !errors.Is(err, ErrNotLed) && !errors.Is(err, ErrRefused) {
			a.state, q.changed = silent, true // the others again, until the deadline
		}
	}
	if taken {
		return nil
	}
	return refusal
}

func (q *question) ask(d *Desk, o *operation, a *asked) (err error) {
	led := d.cores.With(d.shape.lead(a.agent), func(now time.Duration, c *coordination.Coordinator, out *coordination.Outbox) {
		var ruling breaker.Ruling
		a.command, ruling, err = c.Request(now, coordination.Request{Requires: q.requires, One: d.view.child(a.agent) + 1, Idempotent: true, Verb: uint8(packet.Observe),
			Priority: o.order.priority(), Weight: o.order.Weight, Window: q.window, Operator: true, Approved: o.order.Approved}, out)
		if err != nil {
			err = refused(string(o.Kind), o.Scope, ruling, err)
			return
		}
		d.carry(a.command, o.Kind, o.Text)
		a.state, a.at = underWay, d.cores.Now()
	})
	if !led {
		return unled(o.Kind, d.shape.NameOf(d.shape.lead(a.agent)))
	}
	return err
}

func (q *question) effect(d *Desk, o *operation, e *coordination.Effect) {
	if e.Kind != coordination.Answered && e.Kind != coordination.Unanswered {
		return
	}
	for i := range q.asked {
		a := &q.asked[i]
		if a.state != underWay || a.command != e.Command {
			continue
		}
		a.state, a.value, a.took = answered, e.Value, d.cores.Now()-a.at
		switch {
		case e.Kind == coordination.Unanswered:
			a.state = silent
		case e.Reason != coordination.ReasonNone:
			a.state, a.why = conflicting, e.Reason.String()
		}
		q.changed = true
		return
	}
}

func (q *question) tick(d *Desk, o *operation, now time.Duration) {
	if now < q.until {
		_ = q.try(d, o) // what a guard says now is counted as silence
	} else {
		for i := range q.asked {
			if a := &q.asked[i]; a.state == toAsk {
				a.state, q.changed = silent, true
			}
		}
	}
	if !q.changed {
		return
	}
	q.changed = false
	q.group(d, o)
	o.Revision++
	if o.Ask.Waiting > 0 {
		return
	}
	if o.Ask.Answered == 0 {
		o.end(Failed, "nobody answered in time", "give a longer --deadline; dancer status shows how the mesh is")
		return
	}
	o.end(Done, "", "")
}

// group puts equal answers together, the most frequent first.
func (q *question) group(d *Desk, o *operation) {
	r := &AskResult{Asked: len(q.asked), Groups: []Answer{}}
	var times []time.Duration
	for i := range q.asked {
		a := &q.asked[i]
		words := a.why
		switch a.state {
		case silent:
			r.Silent++
			continue
		case toAsk, underWay:
			r.Waiting++
			continue
		case conflicting:
			r.Conflicts++
			if a.value != 0 {
				words += ": " + d.words(a.agent, a.command, a.value)
			}
		case answered:
			words = d.words(a.agent, a.command, a.value)
		}
		r.Answered++
		times = append(times, a.took)
		r.add(words, a.state == conflicting, d.shape.NameOf(Place{AtAgent, a.agent}))
	}
	slices.SortStableFunc(r.Groups, func(x, y Answer) int { return y.Agents - x.Agents })
	slices.Sort(times)
	if n := len(times); n > 0 {
		r.P50MS, r.P95MS = ms(times[(n-1)/2]), ms(times[(n*95+99)/100-1])
	}
	o.Ask = r
}

// maxNamed is how many agents of a group are named.
const maxNamed = 10

func (r *AskResult) add(words string, conflict bool, name string) {
	at := slices.IndexFunc(r.Groups, func(g Answer) bool { return g.Answer == words && g.Conflict == conflict })
	if at < 0 {
		at = len(r.Groups)
		r.Groups = append(r.Groups, Answer{Answer: words, Conflict: conflict})
	}
	g := &r.Groups[at]
	if g.Agents++; len(g.Named) < maxNamed {
		g.Named = append(g.Named, name)
	}
}

func (q *question) cancel(d *Desk, o *operation) error {
	for i := range q.asked {
		if a := &q.asked[i]; a.state == toAsk || a.state == underWay {
			a.state = silent
		}
	}
	q.group(d, o)
	o.end(Cancelled, "no more is waited for", "")
	return nil
}
