package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"dancer/boards"
	"dancer/hal/gpio"
	"dancer/runtime/config"
)

// Robot is a robot's file together with where it keeps its data.
type Robot struct {
	*config.Robot
	Data string // absolute path of the data folder; it need not exist yet
}

// brokerLimit is how long the connection to a broker may take.
const brokerLimit = 5 * time.Second

// robotChecks are those that a robot's file adds.
func (m *Machine) robotChecks(r *Robot) []check {
	checks := []check{
		{id: "data-file-system", look: func(context.Context) ([]Finding, error) {
			f, err := m.dataFileSystem(r.Data)
			return findingOf(f, err)
		}},
		{id: "data-folder", look: func(context.Context) ([]Finding, error) { return m.lookData(r) }},
		{id: "data-room", look: func(context.Context) ([]Finding, error) { return m.lookRoom(r) }},
		{id: "secret-permission", look: func(context.Context) ([]Finding, error) { return m.lookSecrets(r) }},
		{id: "broker", limit: brokerLimit + time.Second, look: func(ctx context.Context) ([]Finding, error) { return m.lookBroker(ctx, r) }},
	}
	if r.Board.Simulated {
		return checks
	}
	if r.Watchdog.Device != "" {
		checks = append(checks, check{id: "robot-watchdog", look: func(context.Context) ([]Finding, error) { return m.lookRobotWatchdog(r.Watchdog) }})
	}
	for i := range r.Ports {
		p, without := &r.Ports[i], looseReadings
		if r.DrivesThrough(i) {
			without = noStart
		}
		checks = append(checks, check{id: "port-device", look: func(context.Context) ([]Finding, error) { return m.lookPort(p, without) }})
	}
	checks = append(checks, m.busChecks(r)...)
	for i := range r.Joysticks {
		if j := &r.Joysticks[i]; j.Device != "" { // one that is found by its name only the spine can look for
			checks = append(checks, check{id: "joystick", look: func(context.Context) ([]Finding, error) { return m.lookJoystick(j) }})
		}
	}
	for i := range r.CANBuses {
		b := &r.CANBuses[i]
		checks = append(checks, check{id: "can-interface", look: func(context.Context) ([]Finding, error) { return m.lookCAN(b) }})
	}
	for _, p := range pins(r.Robot) {
		checks = append(checks, check{id: "pin", look: func(context.Context) ([]Finding, error) { return m.lookPin(p) }})
	}
	for _, p := range pwmOutputs(r.Robot) {
		checks = append(checks, check{id: "pwm", look: func(context.Context) ([]Finding, error) { return m.lookPWM(p) }})
	}
	return checks
}

func findingOf(f Finding, err error) ([]Finding, error) {
	if err != nil {
		return nil, err
	}
	return []Finding{f}, nil
}

// noStart is why a missing output matters: nobody would know it to be safe.
const noStart = "the robot does not start: its outputs could not be made safe"

// lookPort: the device is there, is a serial port, is the user's, and nobody
// else's. without is what the robot does when it is not.
func (m *Machine) lookPort(p *config.Port, without string) ([]Finding, error) {
	const id = "port-device"
	f := Finding{ID: id, Severity: Fault, Subject: p.Name + " " + p.Device}
	device := m.resolve(p.Device)
	info, err := fs.Stat(m.Root, rooted(device))
	switch {
	case absent(err):
		f.Found, f.Why = "is not there", without
		f.Cure = "ls -l /dev/serial/by-id/ /dev/tty[ATU]*   # plug it in, or correct ports." + p.Name + ".device"
		return one(f)
	case err != nil:
		return nil, err
	case info.Mode()&fs.ModeCharDevice == 0:
		f.Found, f.Why, f.Cure = "is not a serial port", "the robot does not start", "dancer board   # lists the serial ports of this machine"
		return one(f)
	case !m.who.may(info, 6):
		f.Found, f.Why = fmt.Sprintf("user %s may not use it (%s)", m.who.name, m.describe(info)), without
		f.Cure = m.groupCure(device, info)
		return one(f)
	}
	findings := m.rivals(p, device)
	if len(findings) > 0 {
		return findings, nil
	}
	base := path.Base(device)
	if device == path.Clean(p.Device) && (strings.HasPrefix(base, "ttyUSB") || strings.HasPrefix(base, "ttyACM")) {
		f.Severity, f.Found = Note, "is named by the order of plugging in"
		f.Why = "with a second adapter the next boot can swap them, and the robot talks to the wrong one"
		f.Cure = "ls -l /dev/serial/by-id/   # write the name that points to " + base + " as ports." + p.Name + ".device"
		return one(f)
	}
	f = ok(id, "is there, and user %s may use it", m.who.name)
	f.Subject = p.Name + " " + p.Device
	return one(f)
}

// rivals finds who else uses a port: programs and the kernel's console.
func (m *Machine) rivals(p *config.Port, device string) []Finding {
	var findings []Finding
	say := func(severity Severity, found, why, cure string) {
		findings = append(findings, Finding{ID: "port-device", Severity: severity, Subject: p.Name + " " + p.Device, Found: found, Why: why, Cure: cure})
	}
	if ports, err := m.consoles(); err == nil && slices.Contains(ports, device) { // serial-console says when it cannot look
		say(Fault, "is the kernel's console", "kernel messages and a login go to the robot's hardware, and the login eats its readings", m.consoleCure(device))
	}
	held, hidden := m.holders(device)
	self, _ := m.read("proc/self/comm") // the program may have another name than dancer, such as dancer-linux-arm64
	for _, h := range held {
		if h.name == "dancer" || h.name == self {
			say(OK, fmt.Sprintf("a robot that runs has it (process %d)", h.pid), "", "")
			continue
		}
		say(Fault, fmt.Sprintf("%s (process %d) has it open", h.name, h.pid), "the robot cannot open it, or the two take each other's bytes", fmt.Sprintf("sudo kill %d", h.pid))
	}
	if hidden && len(held) == 0 && m.System.UID != 0 {
		say(Note, "is there; whether a program of another user has it open, only root may see", "two programs on one port take each other's bytes", "sudo fuser -v "+quote(device))
	}
	return findings
}

// pin is a GPIO line with what it is for, and what the robot does without it.
type pin struct {
	use     string
	line    boards.Line
	without string
}

func pins(r *config.Robot) []pin {
	var all []pin
	for i, in := range r.Inputs {
		if in.HasPin {
			all = append(all, pin{"signal " + r.Manual.Measured()[i].Name, in.Pin, looseReadings})
		}
	}
	for i, d := range r.Drives {
		if d.HasPin && d.PWM == 0 { // the pin of a PWM is not asked for as a line
			all = append(all, pin{"output " + r.Manual.Outputs[i].Name, d.Pin, noStart})
		}
	}
	return all
}

// lookPin: the line is there, nobody else has it, and the user may use its chip.
func (m *Machine) lookPin(p pin) ([]Finding, error) {
	const id = "pin"
	f := Finding{ID: id, Severity: Fault, Subject: p.use + " " + p.line.Name, Why: p.without}
	line, err := m.System.Line(p.line)
	switch {
	case errors.Is(err, gpio.ErrPermission):
		f.Found, f.Cure = "user "+m.who.name+" may not look at the GPIO chips: "+err.Error(), "sudo usermod -aG gpio "+quote(m.who.name)+"   # then log in again"
		for _, name := range m.glob("dev/gpiochip[0-9]*") {
			if info, err := fs.Stat(m.Root, name); err == nil && !m.who.may(info, 6) {
				f.Cure = m.groupCure("/"+name, info)
				break
			}
		}
		return one(f)
	case errors.Is(err, gpio.ErrNoChip) || errors.Is(err, gpio.ErrNoLine) || errors.Is(err, gpio.ErrAmbiguous):
		f.Found, f.Cure = err.Error(), "dancer board   # is this the board that the file names? dancer board NAME lists its pins"
		return one(f)
	case err != nil:
		return nil, err
	}
	info, err := fs.Stat(m.Root, rooted(line.Chip))
	if err != nil {
		return nil, err
	}
	switch {
	case !m.who.may(info, 6):
		f.Found, f.Cure = fmt.Sprintf("user %s may not use %s (%s)", m.who.name, line.Chip, m.describe(info)), m.groupCure(line.Chip, info)
	case line.Used && line.Consumer == gpio.Consumer:
		f = ok(id, "a robot that runs has it (%s line %d)", line.Chip, line.Offset)
	case line.Used:
		f.Found = fmt.Sprintf("%s line %d is used by %q", line.Chip, line.Offset, line.Consumer)
		f.Cure = "grep -r dtoverlay /boot/firmware/config.txt   # stop that program, take its overlay out, or use another pin"
	default:
		f = ok(id, "free (%s line %d)", line.Chip, line.Offset)
	}
	f.Subject = p.use + " " + p.line.Name
	return one(f)
}

// lookData: the folder, or the nearest one above it that exists, lets the user
// write.
func (m *Machine) lookData(r *Robot) ([]Finding, error) {
	const id = "data-folder"
	at := m.nearest(r.Data)
	info, err := fs.Stat(m.Root, rooted(at))
	if err != nil {
		return nil, err
	}
	f := Finding{ID: id, Severity: Fault, Subject: r.Data, Why: "the robot does not start",
		Cure: "sudo install -d -m 0700 -o " + quote(m.who.name) + " " + quote(r.Data)}
	switch {
	case !info.IsDir():
		f.Found, f.Cure = at+" is not a folder", "ls -ld "+quote(at)
	case !m.who.may(info, 7) && at != r.Data && m.who.uid != m.System.UID && m.unit().installed:
		f = ok(id, "systemd makes it (StateDirectory)")
	case !m.who.may(info, 7):
		f.Found = fmt.Sprintf("user %s may not write to %s (%s)", m.who.name, at, m.describe(info))
	case at == r.Data && info.Mode().Perm()&0o077 != 0:
		f.Severity, f.Found = Note, fmt.Sprintf("others of this machine may look into it (%04o)", info.Mode().Perm())
		f.Why, f.Cure = "decisions and recordings say who was where, and whoever reaches the control socket can start the robot", "sudo chmod 0700 "+quote(r.Data)
	case at != r.Data:
		f = ok(id, "will be made in %s", at)
	default:
		f = ok(id, "user %s may write to it", m.who.name)
	}
	f.Subject = r.Data
	return one(f)
}

// nearest gives a folder, or the nearest one above it that exists.
func (m *Machine) nearest(folder string) string {
	at := m.resolve(folder)
	for at != "/" && !m.exists(at) {
		at = path.Dir(at)
	}
	return at
}

// lookRoom compares the room on the data folder's disk with what recording
// keeps. What the folder holds already counts as free: recordings replace it.
func (m *Machine) lookRoom(r *Robot) ([]Finding, error) {
	at := m.nearest(r.Data)
	disk, err := m.System.Disk(at)
	if err != nil {
		return nil, err
	}
	want := uint64(reserve)
	if r.Recording.Keep > 0 {
		want += uint64(r.Recording.Bytes)
	}
	have := disk
	have.Free += m.held(r.Data)
	f := freeDisk("data-room", r.Data, have, want)
	f.Found = fmt.Sprintf("%d MB free", disk.Free>>20)
	if disk.Free < reserve { // what the folder holds does not help those who write now
		f = freeDisk("data-room", r.Data, disk, want)
	}
	worst := want + uint64(r.Recording.Bytes)*uint64(r.Recording.Sealed)
	switch {
	case f.Severity == Fault:
	case f.Severity == Warning:
		f.Why = fmt.Sprintf("recording keeps up to %d MB in its ring and leaves 64 MB: it will stop before that", r.Recording.Bytes/1_000_000)
		f.Cure = fmt.Sprintf("df -h %s   # make room, or write recording: {megabytes: %d} in the robot's file", quote(at), max(1, have.Free/2_000_000))
	case r.Recording.Keep > 0 && have.Free < worst:
		f.Severity = Note
		f.Why = fmt.Sprintf("%d sealed situations of %d MB each would need %d MB: recording stops when 64 MB are left", r.Recording.Sealed, r.Recording.Bytes/1_000_000, worst>>20)
		f.Cure = fmt.Sprintf("df -h %s   # or write recording: {sealed: %d} in the robot's file", quote(at), max(1, (have.Free-want)/uint64(max(r.Recording.Bytes, 1))))
	}
	return one(f)
}

// held sums up the recordings that a data folder has.
func (m *Machine) held(data string) uint64 {
	var sum uint64
	for _, file := range m.glob(rooted(m.resolve(data)) + "/recordings/*.mcap") {
		if info, err := fs.Stat(m.Root, file); err == nil {
			sum += uint64(max(info.Size(), 0))
		}
	}
	return sum
}

// lookSecrets: who may read a secret may rule, or pose as the robot.
func (m *Machine) lookSecrets(r *Robot) ([]Finding, error) {
	const id = "secret-permission"
	var findings []Finding
	count := 0
	for _, s := range []struct{ key, file string }{
		{"token_file", r.TokenFile}, {"key", r.Key}, {"mesh.key_file", r.Mesh.KeyFile}, {"conductor.password_file", r.Conductor.PasswordFile},
	} {
		if s.file == "" {
			continue
		}
		count++
		info, err := fs.Stat(m.Root, rooted(m.resolve(s.file)))
		if err != nil {
			return findings, err
		}
		f := Finding{ID: id, Subject: s.key + " " + s.file, Found: m.describe(info)}
		switch {
		case !m.who.may(info, 4):
			f.Severity, f.Why = Fault, "user "+m.who.name+" may not read it, and the robot does not start its network"
			f.Cure = "sudo chown " + quote(m.who.name) + " " + quote(s.file) + " && sudo chmod 0600 " + quote(s.file)
		case info.Mode().Perm()&0o007 != 0:
			f.Severity, f.Why, f.Cure = Warning, "everybody on this machine may read it, and whoever has it can rule or pose as the robot", "sudo chmod o-rwx "+quote(s.file)
		default:
			continue
		}
		findings = append(findings, f)
	}
	if len(findings) == 0 {
		return one(ok(id, "%d secrets, none open to others", count))
	}
	return findings, nil
}

// lookBroker makes a whole connection, under a client id of its own: under the
// robot's, the broker would throw the running robot out.
func (m *Machine) lookBroker(ctx context.Context, r *Robot) ([]Finding, error) {
	const id = "broker"
	link := r.Conductor
	if link.Broker == "off" {
		return one(ok(id, "off"))
	}
	b := Broker{URL: link.Broker, Username: link.Username, PasswordFile: link.PasswordFile, CAFile: link.CAFile, Fingerprint: link.Fingerprint}
	f := Finding{ID: id, Severity: Warning, Subject: b.URL, Why: "questions reach nobody, and at their deadline the robot does what on_timeout says"}
	if b.URL == "auto" {
		b.URL, f.Severity = "mqtt://127.0.0.1:1883", Note
		f.Cure = "sudo systemctl enable --now dancer-conductor   # or conductor: {broker: off} in the robot's file"
	} else {
		host := strings.TrimPrefix(strings.TrimPrefix(b.URL, "mqtts://"), "mqtt://")
		f.Cure = "openssl s_client -connect " + quote(host) + " </dev/null   # says what answers there"
		if strings.HasPrefix(b.URL, "mqtt://") {
			f.Cure = "systemctl status dancer-conductor mosquitto   # is a broker running here?"
		}
	}
	f.Subject = b.URL
	ctx, cancel := context.WithTimeout(ctx, brokerLimit)
	defer cancel()
	if err := m.System.Reach(ctx, b); err != nil {
		f.Found = strings.TrimSuffix(err.Error(), " trying again") // a robot does, the doctor does not
		return one(f)
	}
	f = ok(id, "answers and lets the robot in")
	f.Subject = b.URL
	return one(f)
}
