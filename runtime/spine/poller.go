package spine

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// Tokens name what a descriptor is in the events of epoll.
const (
	tokenTimer = iota
	tokenInbox
	tokenBrain
	tokenPid
	tokenControl
	tokenPort  = 1000
	tokenInput = 2000
	tokenBus   = 4000
	tokenFeed  = 6000
)

// pollEvents is how many descriptors one wait can tell of; the rest come with
// the next.
const pollEvents = 32

// poller waits for descriptors and for one absolute deadline.
type poller struct {
	epoll  int
	timer  int
	armed  time.Duration // deadline in the timer, never: none
	events [pollEvents]unix.EpollEvent
	spec   unix.ItimerSpec
}

func newPoller() (*poller, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("create epoll: %w", err)
	}
	timer, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		unix.Close(epoll)
		return nil, fmt.Errorf("create timer: %w", err)
	}
	p := &poller{epoll: epoll, timer: timer, armed: never}
	if err := p.watch(timer, tokenTimer); err != nil {
		return nil, errors.Join(err, p.close())
	}
	return p, nil
}

func (p *poller) close() error { return errors.Join(unix.Close(p.timer), unix.Close(p.epoll)) }

// watch adds a descriptor, for reading.
func (p *poller) watch(fd, token int) error {
	e := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(token)}
	if err := unix.EpollCtl(p.epoll, unix.EPOLL_CTL_ADD, fd, &e); err != nil {
		return fmt.Errorf("watch descriptor: %w", err)
	}
	return nil
}

// watchEdges adds a descriptor that is never read: each new signal is told of
// once, and one that came before as well.
func (p *poller) watchEdges(fd, token int) error {
	e := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET, Fd: int32(token)}
	if err := unix.EpollCtl(p.epoll, unix.EPOLL_CTL_ADD, fd, &e); err != nil {
		return fmt.Errorf("watch descriptor: %w", err)
	}
	return nil
}

// rearm says whether a port is also watched for writing.
func (p *poller) rearm(fd, token int, writing bool) {
	e := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(token)}
	if writing {
		e.Events |= unix.EPOLLOUT
	}
	_ = unix.EpollCtl(p.epoll, unix.EPOLL_CTL_MOD, fd, &e) // it is in the set
}

// forget takes a descriptor out of the set.
func (p *poller) forget(fd int) {
	_ = unix.EpollCtl(p.epoll, unix.EPOLL_CTL_DEL, fd, nil) // it is in the set, or closed
}

// arm sets the absolute deadline of the next wait. Setting it again also takes
// a deadline back that has passed.
func (p *poller) arm(deadline time.Duration) {
	if deadline == p.armed {
		return
	}
	p.armed = deadline
	p.spec.Value = unix.Timespec{}
	if deadline != never {
		p.spec.Value = unix.NsecToTimespec(int64(max(deadline, 1)))
	}
	_ = unix.TimerfdSettime(p.timer, unix.TFD_TIMER_ABSTIME, &p.spec, nil) // the arguments are right
}

// wait blocks until a descriptor is ready or the deadline has passed.
func (p *poller) wait() int {
	n, err := unix.EpollWait(p.epoll, p.events[:], -1)
	if err != nil { // EINTR; anything else is a broken set
		if err != unix.EINTR {
			panic("spine: epoll: " + err.Error())
		}
		return 0
	}
	return n
}
