package main

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"dancer/runtime/guest"
)

// The lease is longer than a busy machine keeps the guest waiting: whoever loses it stands
// until an operator comes, and that is not what is tested here.
const canWiring = `robot: line-bot
board: linux
manual: manual.yaml
can:
  drive: {interface: vcan0, dbc: rover.dbc}
signals:
  range: {can: drive, message: RADAR, signal: RANGE, stale_after: 1h}
  pressed: {can: drive, message: PEDAL, signal: PRESSED, stale_after: 1h}
outputs:
  motor: {pin: gpiochip0/1, safe: 0}
  brake: {pin: gpiochip0/2, safe: 1}
lease: {expires_after: 60s, stop: 1}
listen: "127.0.0.1:8421"
mesh: {off: true}
conductor: {broker: off}
`

// canDatabase has a message of 11 bits, Motorola, and one of 29, Intel.
const canDatabase = `VERSION ""
BO_ 291 RADAR: 2 SENSOR
 SG_ RANGE : 7|16@0+ (0.001,0) [0|8] "m" ROBOT
BO_ 2566844926 PEDAL: 8 PANEL
 SG_ PRESSED : 9|1@1+ (1,0) [0|1] "" ROBOT
`

const canManual = `values:
  - {name: human_safety, floor: 5}
  - {name: task}
reflexes:
  - {name: protective-stop, when: "range < 0.30 m || pressed", set: {motor: 0, brake: 1}, stop: 1}
model:
  step: 100ms
  horizon: 300ms
impact:
  human_safety: "10 - (range < 0.30 m ? 6 : 0) * motor"
  task: "10 * motor"
actions:
  - {name: patrol, set: {motor: 1, brake: 0}}
  - {name: halt, set: {motor: 0, brake: 1}, fallback: true}
escalation: {hold: halt, deadline: 5m, on_timeout: halt}
`

// Frames, as candump writes them: identifier, # and data; ## and one digit before the
// data of CAN FD. Identifiers of eight digits have 29 bits, or are error frames.
const (
	radarFar    = "123#07D0"                       // 2 m
	radarNear   = "123#00C8"                       // 0.2 m
	radarFD     = "123##007D000000000000000000000" // 2 m, in a CAN FD frame of 12 bytes
	pedalFree   = "18FEF1FE#0000"
	pedalDown   = "18FEF1FE#0002"
	busOff      = "20000040#0000000000000000"
	passive     = "20000004#0020000000000000"
	activeAgain = "20000004#0040000000000000"
)

// canRobot is a robot on a CAN bus of the guest's kernel.
type canRobot struct {
	*lineRobot
	sent  int // frames that are wanted
	asked int // of the tool, so far
}

// TestGuestCAN: frames on a CAN bus of the kernel reach a reflex, seen from outside by
// the lines of the machine; an interface that is down, gone, or whose controller leaves
// the bus stops the robot, and when it is back it goes on. The bus is the module vcan,
// which carries the frames of one socket to the others as a real one does; error frames
// are sent by the test, in the place of a driver.
func TestGuestCAN(t *testing.T) {
	r := &canRobot{lineRobot: bootLineRobot(t, guest.Config{
		Time:  guest.RealTime,
		Files: append(canModules(t), guest.File{Path: "/robot/rover.dbc", Data: []byte(canDatabase), Mode: 0o644}),
	}, canWiring, canManual)}
	for _, name := range canModuleNames {
		r.must(r.m.Load("/modules/"+name+".ko", ""))
	}
	_, err := r.m.Start(guest.Program{
		Arguments:   []string{guestTests, "-test.run", "^TestInGuestCANTool$", "-test.timeout", "0"},
		Environment: []string{envInGuest + "=1"},
	})
	r.must(err)
	r.launch()
	if said := "open CAN interface vcan0: no such network interface (plug its adapter in, or correct its name: ip -details link show type can)"; !strings.Contains(r.log(), said) {
		t.Errorf("the robot that starts without its bus does not say: %s", said)
	}
	r.can("make", "up")
	r.told("back", 1)
	r.drive()
	r.untilStarted()

	const rounds = 25
	for range rounds {
		r.can(radarNear)
		r.stands("an obstacle")
		r.can(radarFar)
		r.runsAgain("no obstacle")
	}
	// None of these is the radar's or the pedal's: other identifiers, the same one in the
	// other format, a remote frame.
	r.can("124#00C8", "00000123#00C8", "123#R", "7FE#0002")
	r.can(radarFD)
	r.can(pedalDown)
	r.stands("the pedal")
	r.can(pedalFree)
	r.runsAgain("the pedal is let go")
	r.expect("after that", 0)

	r.fault("bus-off", busOff)
	r.fault("error-passive", passive, activeAgain)

	r.can("down")
	r.stands("the interface is down")
	r.told("gone", 2)
	r.can("up")
	r.told("back", 2)
	if r.m.Lines.High(motorLine) {
		t.Error("it moves by an interface alone that is up again")
	}
	r.drive()
	r.runsAgain("the interface is up")
	r.expect("after the interface was down", 0)

	r.can("delete")
	r.stands("the interface is unplugged")
	r.told("gone", 3)
	r.can("make", "up")
	r.told("back", 3)
	r.drive()
	r.runsAgain("the interface is plugged in")
	r.lose()
	r.end()
}

// drive sends what lets the robot move.
func (r *canRobot) drive() { r.can(radarFar, pedalFree) }

// fault has the controller tell of a state, in which the robot stands until it hears
// again.
func (r *canRobot) fault(state, told string, over ...string) {
	r.Helper()
	r.can(told)
	r.stands(state)
	r.told(state, 1)
	r.can(append(over, radarFar, pedalFree)...)
	r.runsAgain(state + " is over")
	r.expect("after "+state, 0)
}

// lose stops the spine while more comes than its socket holds: what is lost is counted.
func (r *canRobot) lose() {
	r.Helper()
	const burst = 3000
	r.must(r.m.Signal(r.pid, syscall.SIGSTOP))
	r.can("burst:" + strconv.Itoa(burst))
	r.must(r.m.Signal(r.pid, syscall.SIGCONT))
	r.can(radarFar) // the kernel tells with the next frame
	r.until("every frame is read or counted as lost", func() bool {
		frames, _, dropped := r.counted()
		return frames+dropped >= r.sent
	})
	frames, wrong, dropped := r.counted()
	r.Logf("%d frames while the spine was stopped: %d lost, and counted", burst, dropped)
	if dropped == 0 || frames+dropped != r.sent || wrong != 0 {
		r.Errorf("of %d frames %d were read, %d lost, %d wrong", r.sent, frames, dropped, wrong)
	}
}

func (r *canRobot) stands(why string) {
	r.Helper()
	if err := errors.Join(r.m.Lines.Await(motorLine, false, patience), r.m.Lines.Await(brakeLine, true, patience)); err != nil {
		r.Fatalf("%s: %v", why, err)
	}
}

func (r *canRobot) runsAgain(why string) {
	r.Helper()
	if err := r.m.Lines.Await(motorLine, true, patience); err != nil {
		r.Fatalf("%s: %v", why, err)
	}
}

// told waits until the log says that the bus is in a state, for the n-th time.
func (r *canRobot) told(state string, n int) {
	r.Helper()
	said := regexp.MustCompile(`"port":"drive","device":"vcan0","state":"` + state + `"`)
	r.until(fmt.Sprintf("the log says %s %d times", state, n), func() bool { return len(said.FindAllString(r.log(), -1)) >= n })
}

// expect compares what was read with what was sent.
func (r *canRobot) expect(when string, lost int) {
	r.Helper()
	r.until(when+": every frame is counted", func() bool { frames, _, _ := r.counted(); return frames >= r.sent })
	if frames, wrong, dropped := r.counted(); frames != r.sent || wrong != 0 || dropped != lost {
		r.Errorf("%s: %d frames, %d wrong, %d lost; want %d, 0, %d", when, frames, wrong, dropped, r.sent, lost)
	}
}

// counted are the counters of the bus on the robot's own page.
func (r *canRobot) counted() (frames, wrong, dropped int) {
	r.Helper()
	said := r.can("metrics")
	for name, into := range map[string]*int{"frames": &frames, "errors": &wrong, "dropped": &dropped} {
		m := regexp.MustCompile(`dancer_source_` + name + `_total\{source="drive"\} (\S+)`).FindStringSubmatch(said)
		if m == nil {
			r.Fatalf("no counter of %s in %s", name, said)
		}
		n, err := strconv.ParseFloat(m[1], 64)
		r.must(err)
		*into = int(n)
	}
	return frames, wrong, dropped
}

// can does something on the guest's bus, and gives what is said of it: see
// TestInGuestCANTool.
func (r *canRobot) can(do ...string) string {
	r.Helper()
	r.asked++
	r.must(r.m.WriteFile(canDo(r.asked), []byte(strings.Join(do, " ")+canEnd)))
	var said string
	r.until(fmt.Sprintf("%v is done", do), func() bool {
		text, err := r.m.ReadFile(canSaid(r.asked))
		said = string(text)
		return err == nil && strings.HasSuffix(said, canEnd)
	})
	if wrong, is := strings.CutPrefix(said, "error: "); is {
		r.Fatalf("%v: %s", do, wrong)
	}
	for _, word := range do {
		id, _, _ := strings.Cut(word, "#")
		burst, is := strings.CutPrefix(word, "burst:")
		n, _ := strconv.Atoi(burst)
		switch {
		case is:
			r.sent += n
		case id == "123" && word != "123#R", id == "18FEF1FE":
			r.sent++
		}
	}
	return said
}

// The files by which the tool is asked and answers, one of each for each time.
func canDo(n int) string   { return fmt.Sprintf("/tmp/can-do-%d", n) }
func canSaid(n int) string { return fmt.Sprintf("/tmp/can-said-%d", n) }

// canEnd ends the text in such a file.
const canEnd = "\nend\n"

// canModuleNames are in the order of loading.
var canModuleNames = []string{"can", "can-raw", "can-dev", "vcan"}

// canModules are the files of the kernel's CAN modules.
func canModules(t *testing.T) (files []guest.File) {
	t.Helper()
	if os.Getenv(envGuest) == "" {
		t.Skip("boots a kernel under QEMU for minutes: make test-kernel")
	}
	kernel, err := guest.FindKernel(t.Context(), "../..")
	if errors.Is(err, guest.ErrNotHere) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range canModuleNames {
		files = append(files, guest.File{Path: "/modules/" + name + ".ko", From: kernel.Module(name)})
	}
	return files
}

// TestInGuestCANTool is no test but what does things on the bus of TestGuestCAN's guest,
// which has no ip and no cansend. It is asked in words: make, up, down and delete the
// interface vcan0, burst:N frames of the radar, metrics of the robot's page, and frames.
// It ends with the guest.
func TestInGuestCANTool(t *testing.T) {
	inGuest(t)
	for n := 1; ; n++ {
		var words []byte
		for !strings.HasSuffix(string(words), canEnd) {
			time.Sleep(2 * time.Millisecond)
			words, _ = os.ReadFile(canDo(n)) // not there yet
		}
		var said strings.Builder
		for _, word := range strings.Fields(strings.TrimSuffix(string(words), canEnd)) {
			if err := doOnBus(word, &said); err != nil {
				said.Reset()
				fmt.Fprintf(&said, "error: %s: %v", word, err)
				break
			}
		}
		if err := os.WriteFile(canSaid(n), []byte(said.String()+canEnd), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// doOnBus does what one word says.
func doOnBus(word string, said io.Writer) error {
	if burst, is := strings.CutPrefix(word, "burst:"); is {
		n, err := strconv.Atoi(burst)
		return errors.Join(err, sendFrames(radarFar, n))
	}
	switch word {
	case "make":
		return errors.Join(askLink(unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL), setLink(unix.SIOCSIFMTU, 72))
	case "delete":
		return askLink(unix.RTM_DELLINK, 0)
	case "up":
		return setLink(unix.SIOCSIFFLAGS, unix.IFF_UP)
	case "down":
		return setLink(unix.SIOCSIFFLAGS, 0)
	case "metrics":
		return showMetrics(said)
	}
	return sendFrames(word, 1)
}

const canInterface = "vcan0"

// askLink makes or deletes the interface by netlink, as `ip link add vcan0 type vcan`.
func askLink(kind uint16, flags uint16) error {
	attribute := func(kind uint16, data []byte) []byte {
		b := binary.NativeEndian.AppendUint16(nil, uint16(4+len(data)))
		b = append(binary.NativeEndian.AppendUint16(b, kind), data...)
		return append(b, make([]byte, -len(b)&3)...)
	}
	body := make([]byte, unix.SizeofIfInfomsg)
	body = append(body, attribute(unix.IFLA_IFNAME, []byte(canInterface+"\x00"))...)
	if kind == unix.RTM_NEWLINK {
		body = append(body, attribute(unix.IFLA_LINKINFO, attribute(unix.IFLA_INFO_KIND, []byte("vcan")))...)
	}
	message := binary.NativeEndian.AppendUint32(nil, uint32(unix.SizeofNlMsghdr+len(body)))
	message = binary.NativeEndian.AppendUint16(message, kind)
	message = binary.NativeEndian.AppendUint16(message, flags|unix.NLM_F_REQUEST|unix.NLM_F_ACK)
	message = append(message, make([]byte, 8)...) // sequence, port
	message = append(message, body...)
	socket, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer unix.Close(socket)
	if err := unix.Sendto(socket, message, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	answer := make([]byte, 4096)
	n, _, err := unix.Recvfrom(socket, answer, 0)
	if err != nil {
		return err
	}
	if n < unix.SizeofNlMsghdr+4 || binary.NativeEndian.Uint16(answer[4:]) != unix.NLMSG_ERROR {
		return fmt.Errorf("netlink answers % x", answer[:n])
	}
	if code := int32(binary.NativeEndian.Uint32(answer[unix.SizeofNlMsghdr:])); code != 0 {
		return unix.Errno(-code)
	}
	return nil
}

// setLink sets the flags or the longest frame of the interface.
func setLink(what uint, value uint32) error {
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(socket)
	request, err := unix.NewIfreq(canInterface)
	if err != nil {
		return err
	}
	if what == unix.SIOCSIFFLAGS {
		request.SetUint16(uint16(value))
	} else {
		request.SetUint32(value)
	}
	return unix.IoctlIfreq(socket, what, request)
}

// sendFrames sends a frame, so many times.
func sendFrames(text string, times int) error {
	frame, err := frameOf(text)
	if err != nil {
		return err
	}
	socket, err := unix.Socket(unix.AF_CAN, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.CAN_RAW)
	if err != nil {
		return err
	}
	defer unix.Close(socket)
	request, err := unix.NewIfreq(canInterface)
	if err != nil {
		return err
	}
	if err := unix.IoctlIfreq(socket, unix.SIOCGIFINDEX, request); err != nil {
		return err
	}
	err = errors.Join(
		unix.SetsockoptInt(socket, unix.SOL_CAN_RAW, unix.CAN_RAW_FD_FRAMES, 1),
		unix.Bind(socket, &unix.SockaddrCAN{Ifindex: int(request.Uint32())}))
	for range times {
		if err == nil {
			_, err = unix.Write(socket, frame)
		}
	}
	return err
}

// frameOf reads a frame as candump writes it.
func frameOf(text string) ([]byte, error) {
	name, rest, ok := strings.Cut(text, "#")
	id, err := strconv.ParseUint(name, 16, 32)
	if err != nil || !ok {
		return nil, fmt.Errorf("%q is no frame", text)
	}
	if len(name) == 8 && id&unix.CAN_ERR_FLAG == 0 {
		id |= unix.CAN_EFF_FLAG
	}
	if rest == "R" {
		id, rest = id|unix.CAN_RTR_FLAG, ""
	}
	size := 8
	if fd, is := strings.CutPrefix(rest, "#"); is && len(fd) > 0 {
		size, rest = 64, fd[1:]
	}
	data, err := hex.DecodeString(rest)
	if err != nil || len(data) > size {
		return nil, fmt.Errorf("%q is no frame: %w", text, err)
	}
	b := binary.NativeEndian.AppendUint32(nil, uint32(id))
	b = append(append(b, byte(len(data)), 0, 0, 0), data...)
	return append(b, make([]byte, size-len(data))...), nil
}

// showMetrics says what the robot's page counts of its sources.
func showMetrics(to io.Writer) error {
	answer, err := http.Get("http://127.0.0.1:8421/metrics")
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "dancer_source_") {
			fmt.Fprint(to, line)
		}
	}
	return err
}
