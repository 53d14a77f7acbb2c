package brain

import (
	"testing"
	"time"

	"dancer/runtime/config"
)

func TestForecastTime(t *testing.T) {
	for lease, want := range map[time.Duration]time.Duration{
		100 * time.Millisecond: 50 * time.Millisecond, 300 * time.Millisecond: 150 * time.Millisecond,
		time.Second: 400 * time.Millisecond, time.Minute: 400 * time.Millisecond,
	} {
		b := brain{robot: &config.Robot{Lease: config.Lease{ExpiresAfter: lease}}}
		if got := b.forecastTime(); got != want {
			t.Errorf("with a lease of %v: %v, want %v", lease, got, want)
		}
	}
}

// TestLate: the time is that of the robot's clock, which only goes on.
func TestLate(t *testing.T) {
	now := time.Minute
	b := brain{clock: func() time.Duration { return now }, cutAt: now + time.Second}
	if b.late() {
		t.Error("late a second before")
	}
	now += time.Second
	if !b.late() {
		t.Error("not late when the time has come")
	}
}
