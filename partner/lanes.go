package partner

import (
	"math"

	"dancer/dancer"
)

const (
	// width is about how many roll-outs run side by side: each instruction is then
	// decoded once for all of them, and their rows stay in the nearest cache.
	width = 128

	// block is how many roll-outs of every option there are between two questions
	// whether to go on.
	block = 16
)

// chunk is how many options run side by side with the given roll-outs of each.
func chunk(each int) int { return max(1, width/each) }

// lanes is scratch memory for rolling many states side by side, the same number
// for each of a few options: lane o*each+l is the l-th of the o-th option. A row
// has n elements, one per lane.
type lanes struct {
	model       *model
	options     int
	each        int
	n           int       // options * each
	first       moment    // adversary and number of the first roll-out; the step that was taken
	rows        []float64 // of the model's batch
	worst, sum  []float64 // a row per value
	low         []float64 // per option: least distance above a floor in the last step
	margin      []float64 // a row: the same per lane, see margins
	broke       []int     // a row: the step in which a floor broke, 0 for none
	whole       []int     // per option: lanes in which none broke so far
	trial, save []float64 // two rows, a row per rule: the adversary's looks ahead
	worstCorner []float64 // a row per disturbance: where the adversary starts from
	aims, kept  []float64 // a row per output with a rate: what it is on its way to; where it was
}

// size makes room for n lanes of at most so many options.
func (s *lanes) size(c *model, options, n int) {
	s.model, s.n = c, n
	s.low, s.whole = sized(s.low, options), sized(s.whole, options)
	s.rows = sized(s.rows, c.batch.Rows()*s.n)
	s.worst, s.sum = sized(s.worst, len(c.impact)*s.n), sized(s.sum, len(c.impact)*s.n)
	s.margin, s.broke = sized(s.margin, s.n), sized(s.broke, s.n)
	s.trial, s.save = sized(s.trial, 2*s.n), sized(s.save, len(c.next)*s.n)
	s.worstCorner = sized(s.worstCorner, c.layout.Disturbances*s.n)
	s.aims, s.kept = sized(s.aims, len(c.rated)*s.n), sized(s.kept, len(c.rated)*s.n)
}

// shape says how many lanes there are, not more than there is room for.
func (s *lanes) shape(options, each int) { s.options, s.each, s.n = options, each, options*each }

func (s *lanes) row(values []float64, i int) []float64 { return values[i*s.n : (i+1)*s.n] }

// slot is the row of a slot.
func (s *lanes) slot(i int) []float64 { return s.row(s.rows, i) }

// result is the row of the i-th result of a section.
func (s *lanes) result(section, i int) []float64 {
	return s.row(s.rows, s.model.batch.Result(section, i))
}

func (s *lanes) evaluate(section int) { s.model.batch.Eval(section, s.rows, s.n) }

// block runs the n paired roll-outs of every option from the given one on.
func (p *Partner) block(first, n int) {
	each := min(chunk(n), len(p.options))
	p.lanes.shape(each, n)
	p.draw(first, n)
	for from := 0; from < len(p.options); from += each {
		to := min(from+each, len(p.options))
		p.rollouts(first, n, p.options[from:to], p.reports[from:to])
	}
	corners := min(n, p.plan.corners-p.done.corners)
	p.done.corners += corners
	p.done.samples += n - corners
}

// draw draws what the n roll-outs from the given one on will meet in every step.
// Every second sample keeps its first draw: a drift, not a noise.
func (p *Partner) draw(first, n int) {
	ds, wide := p.m.Model.Disturbance, p.lanes.n
	for l := range n {
		r := first + l
		source := stream(p.seed, r)
		for step := range p.steps {
			for i := range ds {
				at := (step*len(ds)+i)*wide + l
				switch {
				case step > 0 && (r < p.plan.corners || r%2 == 0):
					p.drawn[at] = p.drawn[at-len(ds)*wide]
				case r < p.plan.corners:
					p.drawn[at] = p.plan.corner(&ds[i], r, i, p.seed)
				default:
					p.drawn[at] = source.between(ds[i].Minimum, ds[i].Maximum)
				}
			}
		}
	}
	for i := range p.steps * len(ds) { // the same for the other options
		row := p.drawn[i*wide : (i+1)*wide]
		for at := n; at < wide; at += n {
			copy(row[at:], row[:n])
		}
	}
}

// rollouts runs the drawn roll-outs of some options into their reports.
func (p *Partner) rollouts(first, n int, options []dancer.Option, reports []report) {
	s := &p.lanes
	wide := min(chunk(n), len(p.options)) * n // of a drawn row
	s.shape(len(options), n)
	s.first = moment{rollout: first}
	s.start(p, options)
	ds := p.layout.Disturbances
	for step := range p.steps {
		for i := range ds {
			copy(s.slot(p.layout.Disturbance(i)), p.drawn[(step*ds+i)*wide:])
		}
		s.advance(p)
		s.look(p, reports, step+1)
	}
	s.finish(p, reports)
}

// start puts the signals of now and the options' outputs into the lanes.
func (s *lanes) start(p *Partner, options []dancer.Option) {
	for i := range p.layout.Signals {
		fill(s.slot(i), p.now[i])
	}
	for o := range options {
		for i, x := range options[o].Outputs {
			fill(s.slot(p.layout.Output(i))[o*s.each:(o+1)*s.each], x)
		}
		s.whole[o] = s.each
	}
	s.head(p.now)
	s.model.batch.Prepare(s.rows, s.n)
	fill(s.worst[:len(p.m.Values)*s.n], 10)
	clear(s.sum[:len(p.m.Values)*s.n])
	clear(s.broke[:s.n])
}

// advance moves every state one step: all rules are evaluated from the old state,
// then written, and outputs with a rate move on. A signal that is invalid now stays
// invalid.
func (s *lanes) advance(p *Partner) {
	s.evaluate(sectionNext)
	for i := range s.model.next {
		if at := s.model.next[i].Signal; p.now[at] == p.now[at] {
			copy(s.slot(at), s.result(sectionNext, i))
		}
	}
	s.slew()
}

// look takes the indices of the states just reached.
func (s *lanes) look(p *Partner, reports []report, step int) {
	s.first.step = step
	s.evaluate(sectionLook)
	for o := range reports {
		s.low[o] = reports[o].still
	}
	for i, v := range s.model.looked {
		if !p.changing[v] {
			continue
		}
		out, value := s.result(sectionLook, i), &p.m.Values[v]
		worst, sum := s.row(s.worst, v), s.row(s.sum, v)
		for o := range reports {
			from, to := o*s.each, (o+1)*s.each
			low, unknown := take(out[from:to], worst[from:to], sum[from:to])
			if value.HasFloor {
				s.low[o] = min(s.low[o], low-value.Floor)
			}
			if unknown {
				reports[o].unknown[v] = true
			}
		}
	}
	for o := range reports {
		s.notice(p, &reports[o], o)
	}
}

// take clamps indices to 0-10, takes them into the worst ones and the sums, and
// gives the lowest of them and whether one was not a number. Numbers that are not
// negative are in the order of their bits, and all others have larger ones.
func take(out, worst, sum []float64) (low float64, unknown bool) {
	worst, sum = worst[:len(out)], sum[:len(out)]
	ten := math.Float64bits(10)
	lowest := ten
	for l, x := range out {
		bits := math.Float64bits(x)
		if bits > ten {
			x, unknown = clamp(x, unknown)
			bits = math.Float64bits(x)
		}
		sum[l] += x
		worst[l] = math.Float64frombits(min(bits, math.Float64bits(worst[l])))
		lowest = min(lowest, bits)
	}
	return math.Float64frombits(lowest), unknown
}

// clamp brings an index that is not between 0 and 10 there.
func clamp(x float64, unknown bool) (float64, bool) {
	if x > 10 {
		return 10, unknown
	}
	return 0, unknown || x != x
}

// notice keeps the worst state, and the step in which a floor breaks in each lane
// of option o.
func (s *lanes) notice(p *Partner, r *report, o int) {
	low := s.low[o]
	breaks := low < 0 && s.whole[o] > 0
	keeps := low < r.margin || low == r.margin && s.first.before(r.kept)
	if !breaks && !keeps {
		return
	}
	margin := s.margins(p, r, o)
	for l, x := range margin {
		if x < 0 && s.broke[o*s.each+l] == 0 {
			s.broke[o*s.each+l] = s.first.step
			s.whole[o]--
		}
	}
	if !keeps {
		return
	}
	for l, x := range margin {
		at := moment{s.first.adversary, s.first.step, s.first.rollout + l}
		if x < r.margin || x == r.margin && at.before(r.kept) {
			r.margin, r.kept = x, at
			s.get(o*s.each+l, r.ends[:p.layout.Slots()])
		}
	}
}

// margins gives the least distance above a floor in every lane of option o.
func (s *lanes) margins(p *Partner, r *report, o int) []float64 {
	from, to := o*s.each, (o+1)*s.each
	margin := s.margin[from:to]
	if s.each == 1 {
		margin[0] = s.low[o]
		return margin
	}
	fill(margin, r.still)
	for i, v := range s.model.looked {
		value := &p.m.Values[v]
		if !value.HasFloor || !p.changing[v] {
			continue
		}
		for l, x := range s.result(sectionLook, i)[from:to] {
			if !(x > 0) {
				x = 0
			}
			margin[l] = min(margin[l], min(x, 10)-value.Floor)
		}
	}
	return margin
}

// get copies the state of lane l.
func (s *lanes) get(l int, state []float64) {
	for i := range state {
		state[i] = s.rows[i*s.n+l]
	}
}

// finish takes the roll-outs into the reports.
func (s *lanes) finish(p *Partner, reports []report) {
	first, states, counted := s.first.rollout, p.layout.Slots(), s.counted(p)
	for o := range reports {
		r := &reports[o]
		from, to := o*s.each, (o+1)*s.each
		for v := range p.m.Values {
			worst, sum := s.row(s.worst, v)[from:to], s.row(s.sum, v)[from:to]
			if !p.changing[v] {
				fill(worst, r.fixed[v])
				fill(sum, r.fixed[v]*float64(p.steps))
			}
			r.take(p, v, first, worst, sum[counted:])
		}
		r.counted += (s.each - counted) * p.steps
		for k := first; k < min(first+s.each, p.endings()); k++ {
			s.get(from+k-first, r.ends[(1+k)*states:(2+k)*states])
		}
		for _, broke := range s.broke[from:to] {
			r.close(broke)
		}
	}
}

// take takes what the roll-outs from the first one on say of value v: the worst
// index of each, and the sums of those that count for the expected index.
func (r *report) take(p *Partner, v, first int, worst, sums []float64) {
	for _, x := range sums {
		r.sum[v] += x
	}
	for l, w := range worst {
		r.samples[(first+l)*len(p.m.Values)+v] = w
		if w >= r.worst[v] {
			continue
		}
		r.worst[v] = w
		if first+l < p.plan.corners {
			r.corner[v] = first + l
		}
	}
}

// counted is the first roll-out of an option that counts for the expected index:
// the samples do, and the corners only where there are no samples.
func (s *lanes) counted(p *Partner) int {
	if p.plan.samples == 0 {
		return 0
	}
	return min(max(p.plan.corners-s.first.rollout, 0), s.each)
}

// close counts one roll-out, in which a floor broke in the given step or not.
func (r *report) close(broke int) {
	r.rollouts++
	if broke == 0 {
		return
	}
	r.broken++
	if r.firstBreak == 0 || broke < r.firstBreak {
		r.firstBreak = broke
	}
}

func fill(row []float64, x float64) {
	for i := range row {
		row[i] = x
	}
}
