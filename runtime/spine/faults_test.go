package spine

import (
	"os"
	"strconv"
	"strings"
	"testing"
)

// trouble is something that goes wrong above the reflexes.
type trouble struct {
	name      string
	endsLease bool // the output must become safe, and stay
	latches   bool // a latch makes it safe, and an operator clears it
	sameUser  bool // the brain is no user of its own: its limits are changed from outside, which takes CAP_SYS_RESOURCE then
	group     string
	prepare   func(c *campaign) // before the robot starts
	happen    func(c *campaign) // one repetition, to the end of the fault

	log, mqtt []string // words of the reason
	topic     string   // of the recording
	recorded  []string
}

// TestFaults lets each fault happen again and again to a robot that moves: its
// spine in a process of its own, its brain that of the real program. make faults
// repeats each a hundred times on an idle machine and judges the times too.
func TestFaults(t *testing.T) {
	if testing.Short() {
		t.Skip("starts real processes for half a minute; -short leaves it out (race runs the rooms, not the program)")
	}
	rounds, judged := 3, false
	if text := os.Getenv("DANCER_FAULTS"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			t.Fatalf("DANCER_FAULTS=%s: want a number of repetitions", text)
		}
		rounds, judged = n, true
	}
	var rows []string
	for _, f := range faults() {
		t.Run(strings.ReplaceAll(f.name, " ", "-"), func(t *testing.T) {
			c := newCampaign(t, f, rounds, judged)
			defer func() { rows = append(rows, c.row()) }()
			c.run()
			c.finish()
		})
	}
	t.Log(tableHead + "\n" + strings.Join(rows, "\n"))
}

func faults() []trouble {
	killed := []string{`"died"`, `"exit":-9`}
	expired := []string{`"expired"`, "no decision within the lease"}
	return []trouble{
		{
			name: "brain killed", endsLease: true, happen: kill,
			log: []string{"brain ended", "signal: killed"}, mqtt: killed, topic: "/brain", recorded: killed,
		},
		{
			name: "brain stopped", endsLease: true, happen: stop,
			log: []string{"lease=expired", "no decision within the lease"}, mqtt: expired, topic: "/lease", recorded: expired,
		},
		{
			name: "brain spins", endsLease: true, happen: spin,
			log: []string{"lease=expired", "no decision within the lease"}, mqtt: expired, topic: "/lease", recorded: expired,
		},
		{
			name: "out of memory", endsLease: true, prepare: memoryGroup, happen: outOfMemory,
			log: []string{"brain ended", "out of memory"}, mqtt: []string{`"died"`, "out of memory"}, topic: "/brain", recorded: []string{`"died"`, "out of memory"},
		},
		{
			name: "garbage in shared memory", endsLease: true, happen: garbage,
			log: []string{"brain ended", "signal: killed"}, mqtt: killed, topic: "/brain", recorded: killed,
		},
		{
			name: "disk full", latches: true, prepare: smallDisk, happen: fillDisk,
			log: []string{"recording stops", "the disk is full"}, mqtt: []string{`"recording":"stopped"`}, topic: "/gap", recorded: []string{`"disk"`},
		},
		{
			name: "descriptors exhausted", endsLease: true, sameUser: true, happen: noDescriptors,
			log: []string{"brain ended", "too many open files"}, mqtt: []string{`"died"`, `"exit":127`}, topic: "/brain", recorded: []string{`"died"`, `"exit":127`},
		},
		{
			name: "serial port gone and back", latches: true, happen: unplug,
			log: []string{"port", "state=gone"}, mqtt: []string{`"gone"`}, topic: "/port", recorded: []string{`"gone"`},
		},
		{
			name: "a million edges in a second", happen: flood,
			log: []string{"port", "state=flooded"}, mqtt: []string{`"flooded"`}, topic: "/port", recorded: []string{`"flooded"`},
		},
	}
}
