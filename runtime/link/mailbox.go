package link

import (
	"errors"
	"fmt"
	"math"
)

// Command is one completed decision. Posting it renews the lease, whatever the
// spine then does with its values.
type Command struct {
	Decision uint64 // the brain's count of completed decisions; must rise
	// Epoch is Status.Epoch as the brain read it before it decided. Its upper 32
	// bits name the brain's generation and its lower the changes of mode. A command
	// of another generation is ignored; one from before a change of mode renews
	// the lease but moves nothing.
	Epoch    uint64
	Values   []float64 // one per output, finite; the spine clips them to the range
	HoldMask uint64    // bit i: a hold has output i, and Hold[i] applies instead
	Hold     []float64 // one per output, finite where the mask says so; nil with an empty mask
}

// ErrCommand is wrapped by every error of PostCommand.
var ErrCommand = errors.New("command is not usable")

// Words of the mailbox: sequence, decision, epoch, mask, values, holds, check.
func mailboxWords(outputs int) int { return 5 + 2*outputs }

// mix adds a word to a check over many. It is no secret and keeps no attacker
// out; it keeps a brain that writes where it did not mean to from being obeyed.
func mix(check, w uint64) uint64 {
	check = (check ^ w) * 0x9e3779b97f4a7c15
	return check ^ check>>32
}

// check condenses what the spine obeys: all but the holds that no mask names.
func (c *Command) check() uint64 {
	sum := mix(mix(mix(magic, c.Decision), c.Epoch), c.HoldMask)
	for _, v := range c.Values {
		sum = mix(sum, math.Float64bits(v))
	}
	if c.HoldMask != 0 {
		for _, v := range c.Hold {
			sum = mix(sum, math.Float64bits(v))
		}
	}
	return sum
}

// PostCommand puts a command into the mailbox (brain); an older one that the
// spine has not taken yet is replaced. Wake the spine after it.
func (s *Segment) PostCommand(c *Command) error {
	if err := s.checkPost(c); err != nil {
		return err
	}
	s.brain.Lock()
	defer s.brain.Unlock()
	w, n := s.mailbox(), s.layout.Outputs
	seq := w[0].Load() | 1 // odd already if a brain before this one died in the middle
	w[0].Store(seq)
	w[1].Store(c.Decision)
	w[2].Store(c.Epoch)
	w[3].Store(c.HoldMask)
	for i := range n {
		w[4+i].Store(math.Float64bits(c.Values[i]))
		if c.HoldMask != 0 {
			w[4+n+i].Store(math.Float64bits(c.Hold[i]))
		}
	}
	w[4+2*n].Store(c.check())
	w[0].Store(seq + 1)
	return nil
}

func (s *Segment) checkPost(c *Command) error {
	n := s.layout.Outputs
	if len(c.Values) != n {
		return fmt.Errorf("post command: %w: %d values, want %d", ErrCommand, len(c.Values), n)
	}
	if c.HoldMask != 0 && len(c.Hold) != n {
		return fmt.Errorf("post command: %w: %d hold values, want %d", ErrCommand, len(c.Hold), n)
	}
	if bad := unusable(c, n); bad >= 0 {
		return fmt.Errorf("post command: %w: output %d is not a finite number", ErrCommand, bad)
	}
	return nil
}

// unusable gives the first output with a value that no output can take, n for a
// hold on an output that does not exist, or -1.
func unusable(c *Command, n int) int {
	if n < 64 && c.HoldMask>>n != 0 {
		return n
	}
	for i := range n {
		if !finite(c.Values[i]) || c.HoldMask&(1<<i) != 0 && !finite(c.Hold[i]) {
			return i
		}
	}
	return -1
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// Taken says what TakeCommand found.
type Taken uint8

// What the spine can find in the mailbox.
const (
	TookNothing  Taken = iota // nothing new
	TookCommand               // a whole command
	TookTorn                  // the brain is writing, or died while it did
	TookUnusable              // its check is wrong, a value is not finite or a hold is on no output
)

// TakeCommand copies a new command out of the mailbox (spine). Values and Hold
// of c must have one element per output. Unless it says TookCommand, c holds
// nothing of use.
func (s *Segment) TakeCommand(c *Command) Taken {
	w, n := s.mailbox(), s.layout.Outputs
	for range takeTries {
		seq := w[0].Load()
		if seq == s.lastPost {
			return TookNothing
		}
		if seq&1 != 0 {
			continue
		}
		c.Decision, c.Epoch, c.HoldMask = w[1].Load(), w[2].Load(), w[3].Load()
		for i := range n {
			c.Values[i] = math.Float64frombits(w[4+i].Load())
			c.Hold[i] = math.Float64frombits(w[4+n+i].Load())
		}
		check := w[4+2*n].Load()
		if w[0].Load() != seq {
			continue
		}
		s.lastPost = seq
		if check != c.check() || unusable(c, n) >= 0 {
			return TookUnusable
		}
		return TookCommand
	}
	return TookTorn
}

func (s *Segment) mailbox() []word {
	return s.brainWords[s.at.mailbox : s.at.mailbox+mailboxWords(s.layout.Outputs)]
}
