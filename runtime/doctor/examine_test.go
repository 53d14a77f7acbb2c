package doctor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

var update = flag.Bool("update", false, "write the golden files of testdata anew")

// machines are the trees with what the kernel answers there.
func machines(t *testing.T) map[string]Machine {
	pi := asUser(1000, 1000, 20, 986)
	pi.PowerSave = func(string) (bool, error) { return true, nil }
	jetson := healthy()
	jetson.PowerSave = func(name string) (bool, error) { return name == "wlP1p1s0", nil }
	virtual := healthy()
	virtual.InStep = func() (bool, error) { return false, nil }
	return map[string]Machine{
		"raspberry-pi-4":   {Root: tree(t, "raspberry-pi-4"), System: pi},
		"jetson-orin-nano": {Root: tree(t, "jetson-orin-nano"), System: jetson},
		"debian-rt-arm64":  {Root: tree(t, "debian-rt-arm64"), System: healthy()},
		"virtual-machine":  {Root: tree(t, "virtual-machine"), System: virtual},
	}
}

// TestMachines holds what is said of each machine, by severity here and word by
// word in the golden files.
func TestMachines(t *testing.T) {
	want := map[string]string{
		"raspberry-pi-4": "warning real-time-priority, warning locked-memory, warning power-supply, warning wifi-power-save, warning hardware-watchdog, " +
			"warning serial-grabber, note preemption-model, note cpu-governor, note swap, note service-unit, note storage-wear, note serial-console",
		"jetson-orin-nano": "warning wifi-power-save, warning gpio-permission, warning gpio-permission, warning serial-grabber, warning usb-serial-latency, " +
			"note preemption-model, note cpu-governor, note cpu-idle, note storage-wear, note serial-console",
		"debian-rt-arm64": "",
		"virtual-machine": "warning preemption-model, note clock-synchronised, note hardware-watchdog, note service-unit, note serial-console",
	}
	for name, m := range machines(t) {
		t.Run(name, func(t *testing.T) {
			report := examine(t, m, nil)
			var above []string
			for _, f := range report.AboveOK().Findings {
				above = append(above, f.Severity.String()+" "+f.ID)
			}
			if got := strings.Join(above, ", "); got != want[name] {
				t.Errorf("it says\n%s\nwant\n%s", got, want[name])
			}
			complete(t, report)
			var b bytes.Buffer
			if err := (Text{}).Write(&b, report); err != nil {
				t.Fatal(err)
			}
			golden(t, "testdata/"+name+".golden", b.Bytes())
		})
	}
}

func golden(t *testing.T, file string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s: %v: go test -update writes it anew; got\n%s", file, err, got)
	}
}

// complete holds that every finding is of use: a stable id, a value, and above
// ok a reason of one sentence and a cure of one line.
func complete(t *testing.T, r Report) {
	t.Helper()
	ids := map[string]bool{"board": true, "pin": true, "port-device": true, "joystick": true, "can-interface": true, "broker": true, "data-folder": true, "data-room": true, "data-file-system": true, "secret-permission": true, "robot-watchdog": true, "i2c-bus": true, "i2c-device": true}
	for _, c := range (&Machine{}).checks() {
		ids[c.id] = true
	}
	for _, f := range r.Findings {
		switch {
		case !ids[f.ID] || f.ID != strings.ToLower(f.ID) || strings.ContainsAny(f.ID, " _"):
			t.Errorf("id %q is not that of a check", f.ID)
		case f.Found == "" || strings.Contains(f.Found, "%!"):
			t.Errorf("%s: found %q", f.ID, f.Found)
		case f.Severity == OK && (f.Why != "" || f.Cure != ""):
			t.Errorf("%s is ok and has a cure", f.ID)
		case f.Severity > OK && (f.Why == "" || strings.Contains(f.Why, ". ")):
			t.Errorf("%s: why %q", f.ID, f.Why)
		case f.Severity > OK && f.Cure == "" && !strings.HasPrefix(f.Found, "could not look"):
			t.Errorf("%s has no cure", f.ID)
		case strings.ContainsAny(f.Found+f.Why+f.Cure+f.Subject, "\n\x1b\x00"):
			t.Errorf("%s has control characters", f.ID)
		}
	}
	if !slices.IsSortedFunc(r.Findings, func(a, b Finding) int { return int(b.Severity) - int(a.Severity) }) {
		t.Error("the worst is not first")
	}
}

// TestNothingToRead: a machine of which nothing can be read gives findings,
// none of them ok by mistake where a file decides.
func TestNothingToRead(t *testing.T) {
	empty := examine(t, Machine{Root: os.DirFS(t.TempDir()), System: healthy()}, nil)
	complete(t, empty)
	denied := examine(t, Machine{Root: deniedFS{}, System: healthy()}, nil)
	complete(t, denied)
	for _, r := range []Report{empty, denied} {
		for _, id := range []string{"kernel", "preemption-model", "real-time-bandwidth", "clock-source", "root-file-system", "free-disk", "available-memory"} {
			if f := only(t, r, id); f.Severity == OK || !strings.HasPrefix(f.Found, "could not look: ") {
				t.Errorf("%s: %+v", id, f)
			}
		}
	}
	if f := only(t, denied, "kernel"); f.Severity != Note || f.Cure != "sudo dancer doctor" {
		t.Errorf("what only root may see: %+v", f)
	}
	if f := only(t, empty, "kernel"); f.Severity != Warning {
		t.Errorf("what is missing: %+v", f)
	}
}

type deniedFS struct{}

func (deniedFS) Open(name string) (fs.File, error) {
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
}

func only(t *testing.T, r Report, id string) Finding {
	t.Helper()
	var found []Finding
	for _, f := range r.Findings {
		if f.ID == id {
			found = append(found, f)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d findings %s", len(found), id)
	}
	return found[0]
}

// TestChecksDoNotTakeOthersAlong: one that hangs, panics or fails is a finding,
// and the others are still there.
func TestChecksDoNotTakeOthersAlong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		began := time.Now()
		findings := inspect(t.Context(), []check{
			{id: "hangs", look: func(context.Context) ([]Finding, error) { <-release; return nil, nil }},
			{id: "hangs-longer", limit: 2 * deadline, look: func(context.Context) ([]Finding, error) { <-release; return nil, nil }},
			{id: "panics", look: func(context.Context) ([]Finding, error) { panic("index out of range") }},
			{id: "fails", look: func(context.Context) ([]Finding, error) { return nil, errors.New("no answer from the card") }},
			{id: "half", look: func(context.Context) ([]Finding, error) {
				return []Finding{ok("half", "one half")}, errors.New("the other half")
			}},
			{id: "well", look: func(context.Context) ([]Finding, error) { return one(ok("well", "fine")) }},
		})
		if took := time.Since(began); took != 2*deadline {
			t.Errorf("it took %s, want the longest deadline %s", took, 2*deadline)
		}
		close(release) // what was left behind ends with the test
		synctest.Wait()
		var said []string
		for _, f := range findings {
			said = append(said, f.Severity.String()+" "+f.ID+": "+f.Found)
		}
		want := []string{
			"warning hangs: could not look: no answer: context deadline exceeded",
			"warning hangs-longer: could not look: no answer: context deadline exceeded",
			"warning panics: could not look: panic: index out of range: please report it with the output of dancer version",
			"warning fails: could not look: no answer from the card",
			"ok half: one half", "warning half: could not look: the other half",
			"ok well: fine",
		}
		if !slices.Equal(said, want) {
			t.Errorf("it says\n%s", strings.Join(said, "\n"))
		}
	})
}

// TestReportJSON: the shape that scripts read.
func TestReportJSON(t *testing.T) {
	report := examine(t, machines(t)["raspberry-pi-4"], nil)
	data, err := json.Marshal(report)
	if err != nil {
		t.Fatal(err)
	}
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(data, &raw); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{
		"board": `"raspberry-pi-4"`, "kernel": `"6.6.51+rpt-rpi-v8"`, "user": `"pi"`, "worst": `"warning"`,
		"model": `"Raspberry Pi 4 Model B Rev 1.4"`, "counts": `{"fault":0,"note":6,"ok":13,"warning":6}`,
	} {
		if string(raw[key]) != want {
			t.Errorf("%s: %s, want %s", key, raw[key], want)
		}
	}
	var again Report
	if err := json.Unmarshal(data, &again); err != nil || len(again.Findings) != len(report.Findings) || again.Findings[0] != report.Findings[0] {
		t.Errorf("read again: %v, %+v", err, again.Findings[0])
	}
	var s Severity
	if s.UnmarshalText([]byte("")) == nil || s.UnmarshalText([]byte("bad")) == nil {
		t.Error("a severity that is none is taken")
	}
}

// TestFinish: a finding without a severity is the worst, and what a device calls
// itself cannot write to the terminal.
func TestFinish(t *testing.T) {
	r := Report{Findings: []Finding{ok("a", "b"), {ID: "c", Found: "evil\x1b[2J\nname"}}}
	r.finish()
	if r.Worst != Fault || r.Findings[0].ID != "c" || r.Findings[0].Found != "evil [2J name" || r.Counts["fault"] != 1 {
		t.Errorf("%+v", r)
	}
}

func TestText(t *testing.T) {
	r := Report{Board: "linux", Kernel: "6.1", User: "pi", Findings: []Finding{ok("clock-source", "tsc"),
		{ID: "swap", Severity: Fault, Subject: "/dev/sda", Found: "on", Why: "slow", Cure: "sudo swapoff -a"}}}
	r.finish()
	const swap = " swap                 /dev/sda: on\n                         why: slow\n                        cure: sudo swapoff -a\n"
	const sum = "board linux, Linux 6.1, user pi: 1 fault, 0 warnings, 0 notes, 1 ok\n"
	for _, c := range []struct {
		text Text
		want string
	}{
		{Text{}, "fault   " + swap + "ok       clock-source         tsc\n" + sum},
		{Text{Quiet: true}, "fault   " + swap + sum},
		{Text{Quiet: true, Color: true}, "\x1b[1;31mfault   \x1b[0m" + swap + sum},
	} {
		var b bytes.Buffer
		if err := c.text.Write(&b, r); err != nil || b.String() != c.want {
			t.Errorf("%+v: %v\n%s", c.text, err, b.String())
		}
	}
	fine := Report{Findings: []Finding{ok("a", "b")}}
	fine.finish()
	var b bytes.Buffer
	if err := (Text{Quiet: true}).Write(&b, fine); err != nil || b.Len() != 0 {
		t.Errorf("nothing above ok, quietly: %v %q", err, b.String())
	}
}

// TestThisMachine looks at the machine that runs the tests: whatever it is, the
// report is whole, says its kernel, and does not hang.
func TestThisMachine(t *testing.T) {
	m := This()
	report := examine(t, m, nil)
	complete(t, report)
	release, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		t.Fatal(err)
	}
	if report.Kernel != strings.TrimSpace(string(release)) || report.Board == "" || report.User == "" {
		t.Errorf("%+v", report)
	}
	for _, f := range report.Findings {
		if strings.Contains(f.Found, "panic") || strings.Contains(f.Found, "no answer") {
			t.Errorf("%s: %s", f.ID, f.Found)
		}
	}
	if disk, err := m.System.Disk("/"); err != nil || disk.Total == 0 || disk.Free > disk.Total {
		t.Errorf("statfs /: %+v, %v", disk, err)
	}
	if _, err := m.System.PowerSave("nosuchdevice0"); err == nil {
		t.Error("a wireless interface that is not there answers")
	}
	if _, err := Examine(t.Context(), Machine{Root: m.Root, System: m.System, User: "no such user"}, nil); err == nil {
		t.Error("a user that is not there is looked at")
	}
}
