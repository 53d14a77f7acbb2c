package spine

import (
	"errors"
	"io/fs"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"dancer/hal"
	"dancer/runtime/config"
)

// PostSocket is the name of the socket in the data folder that other programs post
// readings to.
const PostSocket = "post.sock"

// What may be posted: postLine bytes in one message, postRate messages a second, of
// which each window of postWindow has its share, and postAtOnce in one wake-up.
const (
	postLine   = 1024
	postRate   = 500
	postWindow = 100 * time.Millisecond
	postAtOnce = 16
)

// postSocket takes datagrams such as {"range": 1.5} for the signals that are declared
// from: post, of the robot's own user alone. It is a feed that is never gone.
type postSocket struct {
	fd       int
	path     string
	clock    func() time.Duration
	framer   hal.Framer
	signals  []int // by field
	readings []hal.Reading
	in       [postLine + 1]byte // and a line end
	from     time.Duration      // start of the window
	taken    int                // in it
	counters hal.Counters
}

// listenPost makes the socket. One that an earlier run left is replaced: the caller
// holds the folder's lock.
func listenPost(folder string, r *config.Robot, clock func() time.Duration) (*postSocket, error) {
	s := &postSocket{clock: clock, signals: r.FedBy(func(in *config.Input) bool { return in.Post })}
	names := make([]string, len(s.signals))
	for i, signal := range s.signals {
		names[i] = r.Manual.Signals[signal].Name
	}
	s.readings = make([]hal.Reading, 0, len(names))
	var err error
	if s.framer, err = hal.NewJSONFramer(names); err != nil {
		return nil, err
	}
	s.fd, s.path, err = listenDatagrams(folder, PostSocket, "post socket")
	return s, err
}

func (s *postSocket) Fd() int { return s.fd }

func (s *postSocket) Reopen() error { return nil }

// Level gives nothing: what was posted before is not known.
func (s *postSocket) Level(time.Duration, func(time.Duration, []hal.Reading)) error { return nil }

// Counters: Frames are messages taken, Errors those that make no sense or name no
// signal of ours, Dropped those over the rate.
func (s *postSocket) Counters() hal.Counters { return s.counters }

func (s *postSocket) Close() error {
	err := os.Remove(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return errors.Join(unix.Close(s.fd), err)
}

func (s *postSocket) Read(report func(at time.Duration, readings []hal.Reading)) error {
	for range postAtOnce {
		n, _, errno := unix.Syscall6(unix.SYS_RECVFROM, uintptr(s.fd), uintptr(unsafe.Pointer(&s.in[0])), postLine,
			unix.MSG_DONTWAIT|unix.MSG_TRUNC, 0, 0)
		if errno != 0 {
			return nil // nothing more; a datagram socket of our own does not go away
		}
		s.counters.Bytes += uint64(n)
		now := s.clock()
		switch {
		case !s.allowed(now):
			s.counters.Dropped++
		case n > postLine:
			s.counters.Errors++
		default:
			s.in[n] = '\n'
			s.take(s.in[:n+1], now, report)
		}
	}
	return nil
}

// allowed counts a message against the rate.
func (s *postSocket) allowed(now time.Duration) bool {
	if now-s.from >= postWindow {
		s.from, s.taken = now, 0
	}
	s.taken++
	return s.taken <= postRate/int(time.Second/postWindow)
}

func (s *postSocket) take(text []byte, now time.Duration, report func(time.Duration, []hal.Reading)) {
	used := false
	for len(text) > 0 {
		frame, n, ok := s.framer.Next(text)
		text = text[n:]
		if !ok || len(frame) == 0 {
			continue
		}
		used = true
		s.readings = s.readings[:0]
		for _, f := range frame {
			s.readings = append(s.readings, hal.Reading{Signal: s.signals[f.Field], Value: f.Value, At: now})
		}
		s.counters.Frames++
		report(now, s.readings)
	}
	if !used {
		s.counters.Errors++
	}
}
