package spine

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// envHog is the file that the disk hog writes.
const envHog = "DANCER_TEST_HOG"

// How much the hogs take. The memory is less than a tenth of the machine's that
// the figures are from; the file is written anew all the time.
const (
	hogParts     = 2 // of 1 GiB: one of 2 GiB is too long where int has 32 bits
	hogBytes     = 1 << 30
	hogFile      = 256 << 20
	hogWrite     = 1 << 20
	hogSyncAfter = 16 // writes
)

// hogMemory writes to all of its memory, over and over, a page after another in
// an order that caches do not like.
func hogMemory() error {
	var memory [hogParts][]byte
	for i := range memory {
		memory[i] = make([]byte, hogBytes)
	}
	random := rand.New(rand.NewPCG(1, 1))
	for {
		part, at := memory[random.IntN(hogParts)], random.IntN(hogBytes/4096)*4096
		for i := range 4096 / 64 {
			part[at+64*i]++
		}
	}
}

// hogDisk writes and syncs a file of bounded size, over and over.
func hogDisk(name string) error {
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	chunk := make([]byte, hogWrite)
	for n := int64(0); ; n++ {
		if _, err := file.WriteAt(chunk, n*hogWrite%hogFile); err != nil {
			return err
		}
		if n%hogSyncAfter == 0 {
			if err := file.Sync(); err != nil {
				return err
			}
		}
	}
}

// cellName is the cell of the load, apart from any other on the machine.
const cellName = "bench-spine"

// cell is the load that needs others: a conductor with its broker and three
// simulated robots that gossip, publish, decide and store, all of the real
// program; with hogs the two above besides.
type cell struct {
	binary, broker string
}

// buildDancer builds the real program.
func buildDancer(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "dancer")
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w -X main.version=bench", "-o", binary, "dancer/cmd/dancer")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build dancer: %v: %s", err, out)
	}
	return binary
}

// start runs the load until the test ends.
func startCell(t *testing.T, binary string) *cell {
	t.Helper()
	c := &cell{binary: binary, broker: freeAddress(t)}
	folder := t.TempDir()
	conductor := filepath.Join(folder, "conductor.yaml")
	writeFile(t, conductor, fmt.Sprintf("name: bench\ncell: %s\nlisten: %s\nbroker: embedded\nbroker_listen: %s\n", cellName, freeAddress(t), c.broker))
	runBeside(t, folder, exec.Command(binary, "conductor", conductor, "--data", filepath.Join(folder, "conductor")))
	for _, name := range []string{"museum", "museum-gas", "gallery-patrol"} {
		// On machines of their own, their spines would take no processor from ours at its
		// own priority: they may not here either.
		runBeside(t, folder, exec.Command("setpriv", "--bounding-set", "-sys_nice", "--inh-caps", "-sys_nice",
			binary, "run", c.peer(t, folder, name), "--data", filepath.Join(folder, name, "data")))
	}
	return c
}

// peer copies an example into the folder, as a robot of the cell.
func (c *cell) peer(t *testing.T, folder, name string) string {
	t.Helper()
	from := filepath.Join("../../examples", name)
	entries, err := os.ReadDir(from)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(from, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if e.Name() == "robot-sim.yaml" {
			text = []byte(c.rewire(string(text), name))
		}
		writeFile(t, filepath.Join(folder, name, e.Name()), string(text))
	}
	return filepath.Join(folder, name, "robot-sim.yaml")
}

// rewire points an example at the load's cell.
func (c *cell) rewire(text, name string) string {
	var lines []string
	for line := range strings.Lines(text) {
		key, _, _ := strings.Cut(line, ":")
		switch key {
		case "robot", "cell", "conductor", "listen", "autostart":
		default:
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "") + fmt.Sprintf("\nrobot: peer-%s\ncell: %s\nconductor: {broker: \"mqtt://%s\"}\nlisten: \"off\"\nautostart: true\n", name, cellName, c.broker)
}

// startHogs runs the memory hog and the disk hog until the test ends. The disk is
// that of the tests' folder.
func startHogs(t *testing.T) {
	t.Helper()
	folder := t.TempDir()
	for _, how := range []string{"hog-memory", "hog-disk"} {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), envBrain+"="+how, envHog+"="+filepath.Join(folder, "hog"))
		runBeside(t, folder, cmd)
	}
}

// runBeside runs a program until the test ends, and what it started; one that
// ends before is a fault of the test.
func runBeside(t *testing.T, folder string, cmd *exec.Cmd) {
	t.Helper()
	log, err := os.CreateTemp(folder, "log")
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = log
	if cmd.Env == nil {
		cmd.Env = os.Environ()
	}
	cmd.Env = append(cmd.Env, "DANCER_RUN_DIRECTORY="+folder, "HOME="+folder)
	end, err := startLoad(cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if cmd.Process.Signal(syscall.Signal(0)) != nil {
			text, _ := os.ReadFile(log.Name())
			t.Errorf("%s ended before the test: %s", strings.Join(cmd.Args, " "), text[max(0, len(text)-2000):])
		}
		end()
		_ = log.Close()
	})
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func writeFile(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// startUp is how long a load or a brain has until it works as it will.
const startUp = 1500 * time.Millisecond
