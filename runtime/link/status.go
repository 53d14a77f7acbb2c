package link

import "time"

// Mode of the robot. The zero value is safe.
type Mode uint8

// The modes. Safe is entered at boot, by a stop, by a lost lease and by a lost
// brain; Running only by an operator's start (or autostart at boot) while the
// lease is live; ReportOnly when the brain died too often, and left only by a
// restart of the spine.
const (
	ModeSafe Mode = iota
	ModeRunning
	ModeReportOnly
)

// String names the mode as in events and in the MQTT state.
func (m Mode) String() string {
	switch m {
	case ModeRunning:
		return "running"
	case ModeReportOnly:
		return "report-only"
	}
	return "safe"
}

// LeaseState of the brain. The zero value is none.
type LeaseState uint8

// The states of the lease. None until this brain's first completed decision,
// live from each completed decision until the lease's time is over, then expired
// until the next.
const (
	LeaseNone LeaseState = iota
	LeaseLive
	LeaseExpired
)

// String names the state as in events and in the MQTT state.
func (l LeaseState) String() string {
	switch l {
	case LeaseLive:
		return "live"
	case LeaseExpired:
		return "expired"
	}
	return "none"
}

// Status is the spine's own state.
type Status struct {
	Mode        Mode
	Started     bool // an operator (or autostart) started it and nothing stopped it since
	DryRun      bool // outputs are decided and not driven
	RealTime    bool // the spine has SCHED_FIFO
	Lease       LeaseState
	Epoch       uint64        // a command must carry the present one: see Command
	BrainStarts uint64        // how often a brain was started since the spine's start
	SpineStart  time.Duration // CLOCK_MONOTONIC
	Now         time.Duration // CLOCK_MONOTONIC of this status
	Cycles      uint64        // reflex evaluations
	Overruns    uint64        // deadlines met late
	Discarded   uint64        // commands discarded: stale epoch, not started, or not usable
	LatencyLast time.Duration // input time stamp to output write, last reflex
	LatencyMax  time.Duration
	EdgesLost   uint64 // of all GPIO lines: the kernel had no room for them. A line's newest edge is never lost
	Deaths      uint64 // brains that ended since the spine's start
	Strikes     uint32 // how many of the last in a row ended soon and without a decision
	LastExit    int32  // exit code of the last one, negative: the signal that ended it
	LastDeath   Reason // ReasonBrainEnded: by itself or by others; ReasonBrainHung: the spine ended it; none yet: ReasonNone
}

// StoreStatus publishes the spine's state (spine).
func (s *Segment) StoreStatus(t *Status) {
	w := s.words[s.at.status : s.at.status+statusWords]
	seq := w[0].Load() | 1
	w[0].Store(seq)
	w[1].Store(uint64(t.Mode) | uint64(t.Lease)<<8 | flag(t.Started, 1<<16) | flag(t.DryRun, 1<<17) | flag(t.RealTime, 1<<18))
	w[2].Store(t.Epoch)
	w[3].Store(t.BrainStarts)
	w[4].Store(uint64(t.SpineStart))
	w[5].Store(uint64(t.Now))
	w[6].Store(t.Cycles)
	w[7].Store(t.Overruns)
	w[8].Store(t.Discarded)
	w[9].Store(uint64(t.LatencyLast))
	w[10].Store(uint64(t.LatencyMax))
	w[11].Store(t.Deaths)
	w[12].Store(uint64(t.Strikes) | uint64(uint32(t.LastExit))<<32)
	w[13].Store(uint64(uint32(t.LastDeath)))
	w[14].Store(t.EdgesLost)
	w[0].Store(seq + 1)
}

// LoadStatus reads the spine's state; false while it stays torn.
func (s *Segment) LoadStatus() (Status, bool) {
	w := s.words[s.at.status : s.at.status+statusWords]
	for range readTries {
		seq := w[0].Load()
		if seq&1 != 0 {
			continue
		}
		bits := w[1].Load()
		t := Status{
			Mode: Mode(bits & 0xff), Lease: LeaseState(bits >> 8 & 0xff),
			Started: bits&(1<<16) != 0, DryRun: bits&(1<<17) != 0, RealTime: bits&(1<<18) != 0,
			Epoch: w[2].Load(), BrainStarts: w[3].Load(),
			SpineStart: time.Duration(w[4].Load()), Now: time.Duration(w[5].Load()),
			Cycles: w[6].Load(), Overruns: w[7].Load(), Discarded: w[8].Load(),
			LatencyLast: time.Duration(w[9].Load()), LatencyMax: time.Duration(w[10].Load()),
			Deaths: w[11].Load(), LastDeath: Reason(uint32(w[13].Load())), EdgesLost: w[14].Load(),
		}
		ends := w[12].Load()
		t.Strikes, t.LastExit = uint32(ends), int32(ends>>32)
		if w[0].Load() == seq {
			return t, true
		}
	}
	return Status{}, false
}
