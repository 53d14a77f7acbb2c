package spine

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"dancer/runtime/config"
	"dancer/runtime/link"
)

// The test binary is also the brain: a real child process, started as the spine
// starts the real one.
const (
	envBrain = "DANCER_TEST_BRAIN" // how it behaves
	envRobot = "DANCER_TEST_ROBOT" // robot.yaml
)

func TestMain(m *testing.M) {
	if how := os.Getenv(envBrain); how != "" {
		if err := brainMain(how); err != nil {
			fmt.Fprintln(os.Stderr, "test brain:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// brainCommand starts this binary as a brain that tells what it sees on out.
func brainCommand(how string, robot *config.Robot, out *os.File) func() *exec.Cmd {
	return func() *exec.Cmd {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), envBrain+"="+how, envRobot+"="+robot.Path)
		cmd.Stdout, cmd.Stderr = out, os.Stderr
		return cmd
	}
}

func brainMain(how string) error {
	switch how {
	case "dies":
		os.Exit(3)
	case "child":
		time.Sleep(time.Hour)
	case "campaign":
		return runSubject()
	case "hog":
		return runHog()
	case "measured":
		return beMeasured(os.Getenv(envMeasured))
	case "hog-memory":
		return hogMemory()
	case "hog-disk":
		return hogDisk(os.Getenv(envHog))
	}
	r, problems := config.Load(os.Getenv(envRobot), config.Options{})
	if r == nil {
		return problems
	}
	ends, err := link.Inherit(Layout(r))
	if err != nil {
		return err
	}
	fmt.Println("pid", os.Getpid())
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	switch how {
	case "hostile":
		return scribble(ctx, ends, len(r.Manual.Outputs))
	case "parent":
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), envBrain+"=child")
		if err := child.Start(); err != nil {
			return err
		}
		fmt.Println("child", child.Process.Pid)
	case "evil":
		return evil(ctx, ends, uint64(os.Getpid()))
	case "noisy":
		for ctx.Err() == nil {
			ends.ToSpine.Signal()
		}
		return nil
	case "mute": // lives, wakes the spine once, and decides nothing
		ends.ToSpine.Signal()
		<-ctx.Done()
		return nil
	case "asks":
		epoch := firstEpoch(ends.Segment)
		for _, r := range []link.Request{
			{Kind: link.RequestStart, Sequence: 7, Epoch: epoch, At: link.Now()},
			{Kind: link.RequestClear, Index: 99, Sequence: 8, Epoch: epoch, At: link.Now()},
			{Kind: 77, Sequence: 9, Epoch: epoch, At: link.Now()},
		} {
			ends.Segment.PostRequest(r)
		}
		ends.ToSpine.Signal()
	}
	return decide(ctx, ends)
}

// firstEpoch waits until the spine has taken notice of this brain, the first.
func firstEpoch(s *link.Segment) uint64 {
	for {
		if status, ok := s.LoadStatus(); ok && status.BrainStarts > 0 {
			return status.Epoch
		}
		time.Sleep(time.Millisecond)
	}
}

// decide is a brain that wants to drive at half speed, 50 times a second.
func decide(ctx context.Context, ends *link.Ends) error {
	for decision := uint64(1); ; decision++ {
		status, _ := ends.Segment.LoadStatus()
		c := link.Command{Decision: decision, Epoch: status.Epoch, Values: []float64{0.5, 0}}
		if err := ends.Segment.PostCommand(&c); err != nil {
			return err
		}
		if err := ends.ToSpine.Signal(); err != nil {
			return err
		}
		for deadline := time.Now().Add(20 * time.Millisecond); time.Now().Before(deadline); {
			if _, err := ends.ToBrain.Wait(ctx, time.Until(deadline)); err != nil {
				tell(ends)
				return nil
			}
			tell(ends)
		}
	}
}

func tell(ends *link.Ends) {
	var e link.Event
	for ends.Segment.TakeEvent(&e) {
		fmt.Printf("%v index=%d flags=%d value=%v cause=%d frame=%d latency=%d\n", e.Kind, e.Index, e.Flags, e.Value, e.Cause, e.Frame, e.Latency)
	}
}

// scribble writes garbage over the whole segment, and now and then a mailbox
// that looks right with values that are not.
func scribble(ctx context.Context, ends *link.Ends, outputs int) error {
	var st unix.Stat_t
	if err := unix.Fstat(link.MemoryFD, &st); err != nil {
		return err
	}
	memory, err := unix.Mmap(link.MemoryFD, 0, int(st.Size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return err
	}
	words := unsafe.Slice((*uint64)(unsafe.Pointer(&memory[0])), len(memory)/8)
	random := rand.New(rand.NewPCG(1, 2))
	for ctx.Err() == nil {
		for range 1000 {
			words[random.IntN(len(words))] = random.Uint64()
		}
		c := link.Command{Decision: random.Uint64(), Epoch: random.Uint64() % 8 << 32, Values: make([]float64, outputs)}
		for i := range c.Values {
			c.Values[i] = random.NormFloat64() * 1e9
		}
		_ = ends.Segment.PostCommand(&c)
		ends.Segment.PostRequest(link.Request{Kind: link.RequestKind(random.IntN(9)), Index: int32(random.Uint32())})
		_ = ends.ToSpine.Signal()
	}
	return nil
}
