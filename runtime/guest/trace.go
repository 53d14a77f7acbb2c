package guest

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// tracing is where the kernel's own record of events is (kernel: trace/ftrace.rst).
const tracing = "/sys/kernel/tracing/"

// traceKilobytes is what the record holds for each processor.
const traceKilobytes = "8192"

// Traced is one event that the guest's kernel has recorded.
type Traced struct {
	At    time.Duration // CLOCK_MONOTONIC, to the microsecond
	Event string        // "gpio_value"
	Text  string        // what the kernel says of it: "513 set 1"
}

// StartTrace has the guest's kernel record these of its events ("gpio:gpio_value") from
// now on, and forgets what it has. Nothing runs in the guest for it, so what is
// measured waits for no process.
func (a *Agent) StartTrace(events ...string) error {
	for _, w := range []struct{ file, text string }{
		{"tracing_on", "0"}, {"trace_clock", "mono"}, {"buffer_size_kb", traceKilobytes},
		{"set_event", strings.Join(events, "\n")}, {"trace", ""}, {"tracing_on", "1"},
	} {
		if err := a.WriteFile(tracing+w.file, []byte(w.text)); err != nil {
			return fmt.Errorf("start a trace of %s: %w", strings.Join(events, ", "), err)
		}
	}
	return nil
}

// StopTrace ends the recording and gives what was recorded, the oldest first. It is an
// error if the record was too small.
func (a *Agent) StopTrace() ([]Traced, error) {
	if err := a.WriteFile(tracing+"tracing_on", []byte("0")); err != nil {
		return nil, fmt.Errorf("stop the trace: %w", err)
	}
	text, err := a.ReadAll(tracing + "trace")
	if err != nil {
		return nil, err
	}
	return parseTrace(string(text))
}

// traceLine is "comm-pid [processor] flags seconds.microseconds: event: text".
var traceLine = regexp.MustCompile(`^\s*.+-\d+\s+\[\d+\]\s+\S+\s+(\d+)\.(\d{6}): (\w+): (.*)$`)

// traceEntries is in the head: how many events are there, and how many there were.
var traceEntries = regexp.MustCompile(`entries-in-buffer/entries-written: (\d+)/(\d+)`)

func parseTrace(text string) (all []Traced, err error) {
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "#") || line == "" {
			if n := traceEntries.FindStringSubmatch(line); n != nil && n[1] != n[2] {
				return nil, fmt.Errorf("trace: of %s events %s were kept", n[2], n[1])
			}
			continue
		}
		f := traceLine.FindStringSubmatch(line)
		if f == nil {
			return nil, fmt.Errorf("trace: %q", line)
		}
		seconds, err1 := strconv.ParseInt(f[1], 10, 64)
		micros, err2 := strconv.ParseInt(f[2], 10, 64)
		if err1 != nil || err2 != nil {
			return nil, fmt.Errorf("trace: the time in %q", line)
		}
		all = append(all, Traced{time.Duration(seconds)*time.Second + time.Duration(micros)*time.Microsecond, f[3], f[4]})
	}
	return all, nil
}
