package doctor

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"dancer/boards"
	"dancer/hal/gpio"
	"dancer/mesh/broker"
	"dancer/runtime/config"
)

const stable = "/dev/serial/by-id/usb-Silicon_Labs_CP2102_0001-if00-port0"

// robotOf loads a robot with a port, a signal and an output on pins, as the Pi
// of the tree would.
func robotOf(t *testing.T, root fs.FS, device string) *Robot {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"robot.yaml": "robot: pi-bot\nboard: auto\nmanual: manual.yaml\nports:\n  nav: {device: " + device + ", framing: json}\n" +
			"signals:\n  range: {port: nav, unit: m, range: [0, 8]}\n  bumper: {pin: GPIO17}\noutputs:\n  lamp: {pin: GPIO24, safe: 0}\n",
		"manual.yaml": "values: [{name: human_safety}]\nimpact: {human_safety: \"10\"}\nactions: [{name: halt, set: safe, fallback: true}]\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	robot, problems := config.Load(filepath.Join(dir, "robot.yaml"), config.Options{Root: root})
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	return &Robot{Robot: robot, Data: "/home/pi/.local/state/dancer/pi-bot"}
}

// TestRobot changes one thing of a robot whose devices are well.
func TestRobot(t *testing.T) {
	put := func(path, entryText string) func(t *testing.T, m *Machine, r *Robot) {
		return func(t *testing.T, m *Machine, _ *Robot) {
			name, f := entry(t, append([]string{path}, strings.Fields(entryText)...))
			m.Root.(fstest.MapFS)[name] = f
		}
	}
	write := func(path, text string) func(t *testing.T, m *Machine, r *Robot) {
		return func(_ *testing.T, m *Machine, _ *Robot) { change(m.Root.(fstest.MapFS), map[string]string{path: text}) }
	}
	mount := func(line string) func(t *testing.T, m *Machine, r *Robot) {
		return func(_ *testing.T, m *Machine, r *Robot) {
			r.Data = "/data/pi-bot"
			files := m.Root.(fstest.MapFS)
			files["proc/self/mountinfo"].Data = append(files["proc/self/mountinfo"].Data, "90 26 8:1 / /data "+line+"\n"...)
			files["data/pi-bot"] = &fstest.MapFile{Mode: fs.ModeDir | 0o700, Sys: &syscall.Stat_t{Uid: 1000, Gid: 1000}}
		}
	}
	free := func(d Disk) func(*testing.T, *Machine, *Robot) {
		return func(_ *testing.T, m *Machine, _ *Robot) { m.System.Disk = disk(d) }
	}
	line := func(l Line, err error) func(*testing.T, *Machine, *Robot) {
		return func(_ *testing.T, m *Machine, _ *Robot) {
			m.System.Line = func(boards.Line) (Line, error) { return l, err }
		}
	}
	both := func(all ...func(*testing.T, *Machine, *Robot)) func(*testing.T, *Machine, *Robot) {
		return func(t *testing.T, m *Machine, r *Robot) {
			for _, f := range all {
				f(t, m, r)
			}
		}
	}
	own := func(device string) func(*testing.T, *Machine, *Robot) {
		return func(t *testing.T, m *Machine, r *Robot) {
			r.Watchdog = config.Watchdog{Device: "/dev/watchdog0", Timeout: 10 * time.Second}
			put("dev/watchdog0", device)(t, m, r)
		}
	}
	pad := func(_ *testing.T, _ *Machine, r *Robot) {
		r.Joysticks = []config.Joystick{{Name: "pad", Device: "/dev/input/event3"}}
	}
	bus := func(kind, flags string) func(*testing.T, *Machine, *Robot) {
		return func(t *testing.T, m *Machine, r *Robot) {
			r.CANBuses = []config.CANBus{{Name: "drive", Interface: "can0"}}
			if kind != "" {
				change(m.Root.(fstest.MapFS), map[string]string{"sys/class/net/can0/type": kind, "sys/class/net/can0/flags": flags})
			}
		}
	}
	for _, c := range []struct {
		name   string
		device string // default the stable name
		change func(*testing.T, *Machine, *Robot)
		id     string
		want   Severity
		found  string
		cure   string
	}{
		{"all well, port", "", nil, "port-device", OK, "user pi may use it", ""},
		{"all well, pin", "", nil, "pin", OK, "free (/dev/gpiochip0 line 17)", ""},
		{"all well, broker", "", nil, "broker", OK, "lets the robot in", ""},
		{"all well, data", "", nil, "data-folder", OK, "will be made in /home/pi", ""},
		{"all well, file system", "", nil, "data-file-system", OK, "ext4 on /", ""},
		{"all well, secrets", "", nil, "secret-permission", OK, "0 secrets", ""},

		{"joystick", "", both(pad, put("dev/input/event3", "c root:20 0660")), "joystick", OK, "user pi may read it", ""},
		{"joystick of others", "", both(pad, put("dev/input/event3", "c root:20 0600")), "joystick", Warning, "user pi may not read it (root:dialout 0600)", "chmod 0660 /dev/input/event3"},
		{"joystick unplugged", "", pad, "joystick", Warning, "is not there", "by-id"},
		{"joystick that is a file", "", both(pad, write("dev/input/event3", "x\n")), "joystick", Warning, "is no input device", "event-joystick"},

		{"CAN", "", bus("280\n", "0x40041\n"), "can-interface", OK, "is up", ""},
		{"CAN unplugged", "", bus("", ""), "can-interface", Warning, "is not there", "can.drive.interface"},
		{"CAN down", "", bus("280\n", "0x40040\n"), "can-interface", Warning, "is down", "sudo ip link set can0 up"},
		{"CAN that is Ethernet", "", bus("1\n", "0x1003\n"), "can-interface", Warning, "is no CAN interface", "ip -details"},
		{"CAN behind an old unit", "", both(bus("280\n", "0x41\n"), write(serviceUnit, "[Service]\nRestrictAddressFamilies=AF_UNIX AF_INET\n")),
			"can-interface", Warning, "may not open it", "packaging/install"},

		{"unplugged", "/dev/ttyACM7", nil, "port-device", Fault, "is not there", "by-id"},
		{"named by order", "/dev/ttyUSB0", nil, "port-device", Note, "order of plugging in", "by-id"},
		{"a file", "/etc/passwd", nil, "port-device", Fault, "not a serial port", "dancer board"},
		{"not ours", "", put("dev/ttyUSB0", "c root:20 0600"), "port-device", Fault, "user pi may not use it (root:dialout 0600)", "chmod 0660 /dev/ttyUSB0"},
		{"console", "/dev/serial0", put("dev/ttyS0", "c root:20 0660"), "port-device", Fault, "kernel's console", "do_serial_cons 1"},
		{"held by another", "", both(put("proc/700/fd/5", "-> /dev/ttyUSB0"), write("proc/700/comm", "minicom\n")), "port-device", Fault, "minicom (process 700) has it open", "kill 700"},
		{"held by the robot", "", both(put("proc/700/fd/5", "-> /dev/ttyUSB0"), write("proc/700/comm", "dancer\n")), "port-device", OK, "a robot that runs has it (process 700)", ""},
		{"held by somebody unseen", "", func(_ *testing.T, m *Machine, _ *Robot) { m.Root = hiding{m.Root.(fstest.MapFS)} }, "port-device", Note, "only root may see", "fuser -v /dev/ttyUSB0"},

		{"pin of another", "", line(Line{"/dev/gpiochip0", 17, true, "spi0 CS0"}, nil), "pin", Fault, `line 17 is used by "spi0 CS0"`, "dtoverlay"},
		{"pin of the robot", "", line(Line{"/dev/gpiochip0", 17, true, gpio.Consumer}, nil), "pin", OK, "a robot that runs has it", ""},
		{"pin not there", "", line(Line{}, &gpio.Error{Verb: "request", Line: "GPIO17", Cause: gpio.ErrNoChip}), "pin", Fault, "no such GPIO chip", "dancer board"},
		{"pin not permitted", "", both(line(Line{}, &gpio.Error{Verb: "request", Line: "GPIO17", Cause: gpio.ErrPermission}), put("dev/gpiochip0", "c root:root 0600")),
			"pin", Fault, "may not look at the GPIO chips", "60-dancer.rules"},
		{"chip not the user's", "", put("dev/gpiochip0", "c root:root 0600"), "pin", Fault, "user pi may not use /dev/gpiochip0 (root:root 0600)", "usermod -aG dancer-gpio pi"},
		{"pin that fails otherwise", "", line(Line{}, &gpio.Error{Verb: "request", Line: "GPIO17", Cause: gpio.ErrGone}), "pin", Warning, "could not look", ""},

		{"own watchdog", "", own("c root:20 0660"), "robot-watchdog", OK, "is this robot's, timeout 10s", ""},
		{"watchdog of two", "", both(own("c root:20 0660"), write("etc/systemd/system.conf.d/w.conf", "[Manager]\nRuntimeWatchdogSec=15s\n")), "robot-watchdog", Fault, "held by systemd (RuntimeWatchdogSec)", "daemon-reexec"},
		{"watchdog of root", "", own("c root:root 0600"), "robot-watchdog", Fault, "user pi may not use it", "dancer-watchdog"},
		{"watchdog not there", "", func(_ *testing.T, _ *Machine, r *Robot) { r.Watchdog.Device = "/dev/watchdog7" }, "robot-watchdog", Fault, "is not there", "softdog"},
		{"watchdog that is a file", "", func(_ *testing.T, _ *Machine, r *Robot) { r.Watchdog.Device = "/etc/passwd" }, "robot-watchdog", Fault, "is not a device", "correct"},
		{"watchdog closed to the unit", "", both(own("c root:20 0660"), write("etc/systemd/system/dancer@.service", "[Service]\nDevicePolicy=closed\nDeviceAllow=char-tty* rw\n")), "robot-watchdog", Fault, "DeviceAllow lacks char-watchdog", "packaging/install"},

		{"vfat", "", mount("rw - vfat /dev/sda1 rw"), "data-file-system", Fault, "vfat on /data", "--data"},
		{"NFS", "", mount("rw - nfs4 server:/x rw"), "data-file-system", Warning, "nfs4 on /data", "--data"},
		{"tmpfs", "", mount("rw - tmpfs tmpfs rw"), "data-file-system", Fault, "in memory on /data", "--data"},
		{"overlay in memory", "", mount("rw - overlay overlay rw,lowerdir=/l,upperdir=/run/u"), "data-file-system", Fault, "overlay in memory", "--data"},
		{"overlay on the disk", "", mount("rw - overlay overlay rw,lowerdir=/l,upperdir=/var/u"), "data-file-system", OK, "overlay on /data", ""},
		{"read only", "", mount("ro - ext4 /dev/sda1 ro"), "data-file-system", Fault, "read only", "remount,rw /data"},
		{"no barriers", "", mount("rw - ext4 /dev/sda1 rw,nobarrier"), "data-file-system", Warning, "without write barriers", "barrier=1"},
		{"no journal", "", mount("rw - ext2 /dev/sda1 rw"), "data-file-system", Warning, "ext2", "--data"},
		{"a folder of its own", "", mount("rw - f2fs /dev/sda1 rw"), "data-file-system", OK, "f2fs on /data", ""},
		{"a name with a space", "", func(t *testing.T, m *Machine, r *Robot) {
			mount("rw - vfat /dev/sda1 rw")(t, m, r)
			files := m.Root.(fstest.MapFS)
			files["proc/self/mountinfo"].Data = []byte(strings.ReplaceAll(string(files["proc/self/mountinfo"].Data), "/data ", `/my\040data `))
			r.Data = "/my data/bot"
		}, "data-file-system", Fault, "vfat on /my data", ""},

		{"folder of another", "", put("home/pi", "d 1001:1001 0700"), "data-folder", Fault, "user pi may not write to /home/pi (1001:1001 0700)", "install -d -m 0700 -o pi"},
		{"a file in the way", "", put("home/pi", "f 1000:1000 0600"), "data-folder", Fault, "/home/pi is not a folder", "ls -ld"},
		{"folder open to others", "", both(mount("rw - ext4 /dev/sda1 rw"), put("data/pi-bot", "d 1000:1000 0755")), "data-folder", Note, "(0755)", "chmod 0700 /data/pi-bot"},
		{"folder that is there", "", mount("rw - ext4 /dev/sda1 rw"), "data-folder", OK, "user pi may write to it", ""},

		{"room for all", "", free(Disk{Total: 29 << 30, Free: 21 << 30}), "data-room", OK, "21504 MB free", ""},
		{"not for all that is sealed", "", free(Disk{Total: 29 << 30, Free: 2 << 30}), "data-room", Note, "2048 MB free", "sealed: 7"},
		{"not for the ring", "", free(Disk{Total: 29 << 30, Free: 200 << 20}), "data-room", Warning, "200 MB free", "megabytes: 104"},
		{"the ring is there already", "", both(free(Disk{Total: 29 << 30, Free: 200 << 20}), func(_ *testing.T, m *Machine, r *Robot) {
			change(m.Root.(fstest.MapFS), map[string]string{rooted(r.Data) + "/recordings/a.mcap": strings.Repeat("x", 120<<20)})
		}), "data-room", Note, "200 MB free", "sealed: 1"},
		{"full", "", free(Disk{Total: 29 << 30, Free: 10 << 20}), "data-room", Fault, "10 MB", "du -xh"},
		{"nothing recorded, little needed", "", both(free(Disk{Total: 29 << 30, Free: 100 << 20}), func(_ *testing.T, _ *Machine, r *Robot) { r.Recording.Keep = 0 }), "data-room", OK, "100 MB free", ""},

		{"secret open to all", "", both(put("etc/dancer/token", "f 1000:1000 0644"), func(_ *testing.T, _ *Machine, r *Robot) { r.TokenFile = "/etc/dancer/token" }),
			"secret-permission", Warning, "pi:pi 0644", "chmod o-rwx /etc/dancer/token"},
		{"secret closed to the robot", "", both(put("etc/dancer/cell.key", "f root:root 0600"), func(_ *testing.T, _ *Machine, r *Robot) { r.Mesh.KeyFile = "/etc/dancer/cell.key" }),
			"secret-permission", Fault, "root:root 0600", "chown pi"},
		{"secret as it should be", "", both(put("etc/dancer/cell.key", "f 1000:1000 0600"), func(_ *testing.T, _ *Machine, r *Robot) { r.Mesh.KeyFile = "/etc/dancer/cell.key" }),
			"secret-permission", OK, "1 secrets", ""},

		{"no conductor", "", unreachable("auto"), "broker", Note, "not reachable", "broker: off"},
		{"no broker here", "", unreachable("mqtt://127.0.0.1:1999"), "broker", Warning, "not reachable", "systemctl status"},
		{"no broker there", "", unreachable("mqtts://cell.example:8883"), "broker", Warning, "not reachable", "openssl s_client -connect cell.example:8883"},
		{"broker off", "", unreachable("off"), "broker", OK, "off", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := machines(t)["raspberry-pi-4"]
			if c.device == "" {
				c.device = stable
			}
			r := robotOf(t, m.Root, c.device)
			if c.change != nil {
				c.change(t, &m, r)
			}
			report := examine(t, m, r)
			complete(t, report)
			for _, f := range report.Findings {
				if f.ID == c.id && f.Severity == c.want && strings.Contains(f.Found, c.found) && strings.Contains(f.Cure, c.cure) {
					return
				}
			}
			t.Errorf("no %s %s with %q and %q in %+v", c.want, c.id, c.found, c.cure, ofID(report, c.id))
		})
	}
}

// TestWhatTheRobotDoesWithout: a device of signals alone does not keep it from starting,
// one of outputs does, and the doctor says the same as the robot.
func TestWhatTheRobotDoesWithout(t *testing.T) {
	m := machines(t)["raspberry-pi-4"]
	m.System.Line = func(boards.Line) (Line, error) {
		return Line{}, &gpio.Error{Verb: "request", Line: "GPIO17", Cause: gpio.ErrNoChip}
	}
	r := robotOf(t, m.Root, "/dev/ttyACM7")
	why := func(id, subject string) string {
		for _, f := range ofID(examine(t, m, r), id) {
			if strings.HasPrefix(f.Subject, subject) {
				return f.Why
			}
		}
		return "nothing"
	}
	for _, c := range []struct{ id, subject, want string }{
		{"port-device", "nav", looseReadings}, {"pin", "signal bumper", looseReadings}, {"pin", "output lamp", noStart},
	} {
		if got := why(c.id, c.subject); got != c.want {
			t.Errorf("%s: %s, want %s", c.subject, got, c.want)
		}
	}
	r.Drives[0].HasPin, r.Drives[0].Port = false, 0
	if got := why("port-device", "nav"); got != noStart {
		t.Errorf("port that drives an output: %s", got)
	}
}

func unreachable(broker string) func(*testing.T, *Machine, *Robot) {
	return func(_ *testing.T, m *Machine, r *Robot) {
		r.Conductor.Broker = broker
		m.System.Reach = func(_ context.Context, b Broker) error {
			if !strings.HasPrefix(b.URL, "mqtt") {
				return fmt.Errorf("asked for %q", b.URL)
			}
			return errors.New("not reachable")
		}
	}
}

// hiding is a machine whose /proc does not show other users' descriptors.
type hiding struct{ fstest.MapFS }

func (h hiding) ReadDir(name string) ([]fs.DirEntry, error) {
	if strings.HasPrefix(name, "proc/") && strings.HasSuffix(name, "/fd") {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
	}
	return h.MapFS.ReadDir(name)
}

// TestSimulatedRobot: no device and no pin of a robot on board sim is looked at.
func TestSimulatedRobot(t *testing.T) {
	m := machines(t)["raspberry-pi-4"]
	r := robotOf(t, m.Root, "/dev/ttyACM7")
	r.Board, _ = boards.Get("sim")
	report := examine(t, m, r)
	if found := append(ofID(report, "pin"), ofID(report, "port-device")...); len(found) > 0 || report.Robot != "pi-bot" {
		t.Errorf("robot %q: %+v", report.Robot, found)
	}
}

// TestReach connects to a real broker: let in, refused, another certificate,
// nobody there, and somebody who never answers.
func TestReach(t *testing.T) {
	key, leaf := selfSigned(t)
	b, err := broker.Start(broker.Options{Listen: "127.0.0.1:0", Dir: t.TempDir(), Username: "robot", Password: "secret",
		TLS: &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{leaf}, PrivateKey: key}}}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := b.Shutdown(); err != nil {
			t.Error(err)
		}
	}()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	file := func(text string) string {
		name := filepath.Join(t.TempDir(), "password")
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	pin := fmt.Sprintf("sha256:%x", sha256.Sum256(leaf))
	for _, c := range []struct {
		name  string
		b     Broker
		limit time.Duration
		want  string // "" is let in
	}{
		{"let in", Broker{URL: b.URL(), Username: "robot", PasswordFile: file("secret\n"), Fingerprint: pin}, 20 * time.Second, ""},
		{"wrong password", Broker{URL: b.URL(), Username: "robot", PasswordFile: file("wrong"), Fingerprint: pin}, 20 * time.Second, "refused the user name or password"},
		{"other certificate", Broker{URL: b.URL(), Username: "robot", PasswordFile: file("secret"), Fingerprint: "sha256:" + strings.Repeat("00", 32)}, 20 * time.Second, "another broker answers there"},
		{"no password file", Broker{URL: b.URL(), Username: "robot", PasswordFile: "/no/such/file"}, time.Second, "read conductor.password_file"},
		{"no CA file", Broker{URL: b.URL(), CAFile: "/no/such/file"}, time.Second, "read conductor.ca_file"},
		{"nobody there", Broker{URL: "mqtt://127.0.0.1:1"}, 20 * time.Second, "not reachable"},
		{"never answers", Broker{URL: "mqtt://" + silent.Addr().String()}, 300 * time.Millisecond, "deadline"},
		{"not a broker's address", Broker{URL: "http://127.0.0.1:1"}, time.Second, "want mqtt or mqtts"},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), c.limit)
		err := reach(ctx, c.b)
		cancel()
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

func selfSigned(t *testing.T) (*ecdsa.PrivateKey, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "cell"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	leaf, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return key, leaf
}
