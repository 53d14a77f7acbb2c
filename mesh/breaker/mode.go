package breaker

import (
	"fmt"
	"time"
)

// Mode is how much the mesh still does. The zero value is Emergency: a mesh of
// which nobody knows anything.
type Mode uint8

// The modes of mesh-30k 6.3, the worst first.
const (
	Emergency        Mode = iota // under 30% of the agents are active
	DegradedSevere               // 30% and more
	DegradedModerate             // 60% and more
	DegradedLight                // 80% and more
	Full                         // 95% and more
	modes
)

// String names the mode as the specification does.
func (m Mode) String() string {
	switch m {
	case Emergency:
		return "EMERGENCY"
	case DegradedSevere:
		return "DEGRADED_SEVERE"
	case DegradedModerate:
		return "DEGRADED_MODERATE"
	case DegradedLight:
		return "DEGRADED_LIGHT"
	case Full:
		return "FULL"
	}
	return "invalid"
}

// ModeConfig says when the mode changes.
type ModeConfig struct {
	From   [modes]int    // percent of active agents from which on each mode holds; 0 for Emergency
	Margin int           // percent more that it takes to go up, 0 to 50
	Dwell  time.Duration // for so long without a break; then one mode up at a time
	// Resume lets the mesh leave Emergency by itself. By default an operator
	// acknowledges it (Modes.Acknowledge): nothing moves by itself, and the
	// specification wants the cause known before anything is done.
	Resume bool
}

// DefaultModeConfig gives the thresholds of the specification, 2% of margin and a
// minute of dwell, which is twelve heartbeats; from EMERGENCY to FULL it takes four.
func DefaultModeConfig() ModeConfig {
	return ModeConfig{From: [modes]int{0, 30, 60, 80, 95}, Margin: 2, Dwell: time.Minute}
}

// Validate reports what is out of range or out of order.
func (c ModeConfig) Validate() error {
	if c.From[Emergency] != 0 || c.Margin < 0 || c.Margin > 50 || c.Dwell < 0 || c.Dwell > 24*time.Hour {
		return fmt.Errorf("%w: modes: EMERGENCY from %d%%, margin %d%%, dwell %s", ErrConfig, c.From[Emergency], c.Margin, c.Dwell)
	}
	for m := DegradedSevere; m < modes; m++ {
		if c.From[m] <= c.From[m-1] || c.From[m] > 100 {
			return fmt.Errorf("%w: modes: %s from %d%%, after %d%%", ErrConfig, m, c.From[m], c.From[m-1])
		}
	}
	return nil
}

// Modes follows the share of active agents: down at once, as far as it goes; up
// one mode at a time, with a margin and after a dwell. 88 bytes. It is not safe
// for use by several goroutines.
type Modes struct {
	config ModeConfig
	mode   Mode
	fell   bool // into Emergency; an operator has to acknowledge it
	rising bool
	since  time.Duration // since the share has been enough for one mode up
}

// NewModes makes modes that are in Emergency until Start.
func NewModes(config ModeConfig) (*Modes, error) {
	if err := config.Validate(); err != nil {
		return nil, fmt.Errorf("make modes: %w", err)
	}
	return &Modes{config: config}, nil
}

// Start sets the mode that the share gives, without a dwell: once, when those who
// are there have had the time to be found.
func (m *Modes) Start(active, members int32) Mode {
	m.mode, m.fell, m.rising = m.level(active, members, 0), false, false
	return m.mode
}

// Observe takes the share of active agents and reports whether the mode changed.
func (m *Modes) Observe(now time.Duration, active, members int32) bool {
	if level := m.level(active, members, 0); level < m.mode {
		m.mode, m.rising = level, false
		m.fell = m.fell || level == Emergency
		return true
	}
	if m.level(active, members, m.config.Margin) <= m.mode || m.Locked() {
		m.rising = false
		return false
	}
	if !m.rising {
		m.rising, m.since = true, now
	}
	if now-m.since < m.config.Dwell {
		return false
	}
	m.mode, m.rising = m.mode+1, false
	return true
}

// level is the highest mode for which the share is enough. Nobody at all is an
// emergency, and more active agents than members are all of them. The margin is
// cut at 100%.
func (m *Modes) level(active, members int32, margin int) Mode {
	if members <= 0 {
		return Emergency
	}
	percent := int64(100) * int64(min(active, members))
	for mode := Full; mode > Emergency; mode-- {
		if percent >= int64(min(m.config.From[mode]+margin, 100))*int64(members) {
			return mode
		}
	}
	return Emergency
}

// Mode is the present one.
func (m *Modes) Mode() Mode { return m.mode }

// Locked says that the mesh fell into Emergency and stays until Acknowledge.
func (m *Modes) Locked() bool { return m.fell && !m.config.Resume }

// Acknowledge is an operator's word that the cause of an emergency is known. The
// mode then rises as from any other. It reports whether it was needed.
func (m *Modes) Acknowledge() bool {
	locked := m.Locked()
	m.fell = false
	return locked
}

// Duties are what a mode asks of those who run the mesh.
type Duties struct {
	RetryFactor     int  // by which retry time-outs are multiplied
	HealthyOnly     bool // route to sectors whose breakers are closed alone
	PrepareShutdown bool
	Persist         bool // write the state to disk now
	AlertOperators  bool
}

// Duties of the mode.
func (m Mode) Duties() Duties {
	return Duties{
		RetryFactor:     [...]int{8, 8, 4, 2, 1}[min(m, Full)],
		HealthyOnly:     m <= DegradedModerate,
		PrepareShutdown: m <= DegradedSevere,
		Persist:         m <= DegradedSevere,
		AlertOperators:  m <= DegradedSevere,
	}
}
