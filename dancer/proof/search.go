package proof

// search divides boxes until each is settled, the budget is spent or an attack
// succeeds. Breadth first, so that what is left when it ends is spread evenly.
type search struct {
	space *space
	boxes int         // budget
	cut   func() bool // ends it early
	used  int

	// judge gives 0 for a settled box, and otherwise how far it is from being
	// settled; the division that takes away most of that is made.
	judge func(box) float64
	// attack looks for an example in a box; true ends the search.
	attack func(box) bool
	// settled is told of every box that is; it may be nil.
	settled func(b box, share float64)

	left region
}

type pending struct {
	box   box
	share float64
}

// candidates bounds the dimensions that are tried for one division.
const candidates = 8

// run searches the starting boxes, which count alike, and says whether an attack
// succeeded. What is not settled is in left.
func (s *search) run(starts []box) (found bool) {
	var queue []pending
	for _, b := range starts {
		share := 1 / float64(len(starts))
		if s.look(b) > 0 {
			queue = append(queue, pending{b, share})
		} else {
			s.settle(b, share)
		}
	}
	for len(queue) > 0 {
		p := queue[0]
		queue = queue[1:]
		if s.cut() {
			s.left.add(p.box, p.share)
			break
		}
		if s.attack(p.box) {
			return true
		}
		if s.used >= s.boxes {
			s.left.add(p.box, p.share)
			break
		}
		open, done, ok := s.divide(p.box)
		if !ok {
			s.left.add(p.box, p.share)
			continue
		}
		for _, b := range open {
			queue = append(queue, pending{b, p.share / 2})
		}
		for _, b := range done {
			s.settle(b, p.share/2)
		}
	}
	for _, p := range queue {
		s.left.add(p.box, p.share)
	}
	return false
}

func (s *search) settle(b box, share float64) {
	if s.settled != nil {
		s.settled(b, share)
	}
}

func (s *search) look(b box) float64 {
	s.used++
	return s.judge(b)
}

// divide gives the halves of a box, those that are open and those that are
// settled, divided where that leaves least. Where divisions leave the same, the
// widest dimension is divided.
func (s *search) divide(b box) (open, done []box, ok bool) {
	best, widest := 0.0, 0.0
	for _, d := range s.widest(b) {
		low, high, _ := s.space.halves(b, d)
		first, second := replace(b, d, low), replace(b, d, high)
		x, y := s.look(first), s.look(second)
		wide := s.space.share(b, d)
		if ok && (x+y > best || x+y == best && wide <= widest) {
			continue
		}
		best, widest, ok = x+y, wide, true
		open, done = nil, nil
		for i, part := range []box{first, second} {
			if []float64{x, y}[i] > 0 {
				open = append(open, part)
			} else {
				done = append(done, part)
			}
		}
		if best == 0 {
			break
		}
	}
	return open, done, ok
}

// widest gives the dimensions to try: all, or where there are many the widest.
func (s *search) widest(b box) []int {
	var list []int
	for d := range b {
		if _, _, ok := s.space.halves(b, d); ok {
			list = append(list, d)
		}
	}
	for len(list) > candidates {
		least := 0
		for i, d := range list {
			if s.space.share(b, d) < s.space.share(b, list[least]) {
				least = i
			}
		}
		list = append(list[:least], list[least+1:]...)
	}
	return list
}

func replace(b box, d int, x interval) box {
	out := append(box(nil), b...)
	out[d] = x
	return out
}
