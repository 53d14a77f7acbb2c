package impedance

import (
	"math/rand/v2"
	"time"
)

// Figures of heartbeats.
const (
	// HeartbeatPeriod is the mean time between two heartbeats of an agent
	// (mesh-30k 4.1).
	HeartbeatPeriod = 5 * time.Second
	// HeartbeatJitter is by how much one period is shorter or longer at most.
	// Periods drawn anew each time also take agents apart that began together.
	HeartbeatJitter = HeartbeatPeriod / 10
	// MissedSuspect: an agent that has missed so many heartbeats in a row
	// counts as degraded (mesh-30k 6.1, TRANSIENT_NETWORK).
	MissedSuspect = 3
	// MissedOffline: one that has missed so many is offline: 33 s (mesh-30k 6.1,
	// AGENT_CRASH: over 30 s).
	MissedOffline = 6
)

// FirstHeartbeat is when an agent that starts now, or wakes from a long sleep,
// sends its first heartbeat: at any moment of one period, so that a cell that
// gets its power back does not speak with one voice.
func FirstHeartbeat(now time.Duration, random *rand.Rand) time.Duration {
	return now + time.Duration(random.Int64N(int64(HeartbeatPeriod)))
}

// NextHeartbeat is when the heartbeat after the one that was due at due is due,
// uniform in a period of HeartbeatJitter more or less. An agent that is late by
// more than that has been stopped or asleep, perhaps with others: it begins
// anew, and does not catch up.
func NextHeartbeat(due, now time.Duration, random *rand.Rand) time.Duration {
	next := due + HeartbeatPeriod - HeartbeatJitter + time.Duration(random.Int64N(2*int64(HeartbeatJitter)+1))
	if next <= now {
		return FirstHeartbeat(now, random)
	}
	return next
}

// MissedHeartbeats is how many heartbeats have surely been missed when the last
// one came so long ago, each period taken as long as it can be.
func MissedHeartbeats(silence time.Duration) int {
	return int(max(silence, 0) / (HeartbeatPeriod + HeartbeatJitter))
}
