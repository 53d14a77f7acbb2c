package guest

import (
	"slices"
	"testing"
	"time"
)

// What Linux 6.12 writes.
const recorded = `# tracer: nop
#
# entries-in-buffer/entries-written: 3/3   #P:1
#
#                                _-----=> irqs-off/BH-disabled
#           TASK-PID     CPU#  |||||||  TIMESTAMP  FUNCTION
#              | |         |   |||||||      |         |
           <...>-1       [000] d..2...    12.345678: signal_generate: sig=9 errno=0 code=0 comm=dancer pid=123 grp=1 res=0
          dancer-97      [000] .......    12.350001: gpio_value: 513 set 0
 kworker/0:1-eve-12     [000] .......    13.000000: gpio_value: 514 set 1
`

func TestParseTrace(t *testing.T) {
	got, err := parseTrace(recorded)
	want := []Traced{
		{12345678 * time.Microsecond, "signal_generate", "sig=9 errno=0 code=0 comm=dancer pid=123 grp=1 res=0"},
		{12350001 * time.Microsecond, "gpio_value", "513 set 0"},
		{13 * time.Second, "gpio_value", "514 set 1"},
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("parseTrace: %v, %v; want %v", got, err, want)
	}
	for _, damaged := range []string{"# entries-in-buffer/entries-written: 3/4   #P:1\n", "CPU:0 [LOST 23 EVENTS]\n", recorded + "half a line"} {
		if got, err := parseTrace(damaged); err == nil {
			t.Errorf("parseTrace(%q): %v", damaged, got)
		}
	}
}
