package demo

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// stopGrace is how long a process may take to end by itself.
const stopGrace = 8 * time.Second

// longestEvent bounds one line of an event stream.
const longestEvent = 1 << 20

// process is one child of the demo.
type process struct {
	name    string
	command *exec.Cmd
	log     string // file with its standard error
	done    chan struct{}
	err     error // how it ended; read it after done
}

// start runs the binary with args, its logs in a file of dir, and hands every
// line of its standard output to line.
func start(ctx context.Context, executable, dir, name string, line func([]byte), args ...string) (*process, error) {
	p := &process{name: name, log: filepath.Join(dir, name+".log"), done: make(chan struct{})}
	log, err := os.Create(p.log)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	p.command = exec.CommandContext(context.WithoutCancel(ctx), executable, args...)
	p.command.Stderr = log
	p.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM} // Ctrl-C is for the demo, which ends them in order
	output, err := p.command.StdoutPipe()
	if err == nil {
		err = p.command.Start()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", name, err), log.Close())
	}
	go p.follow(output, log, line)
	return p, nil
}

// follow reads the output to its end and reaps the process.
func (p *process) follow(output io.Reader, log io.Closer, line func([]byte)) {
	defer close(p.done)
	lines := bufio.NewScanner(output)
	lines.Buffer(make([]byte, 0, 64<<10), longestEvent)
	for lines.Scan() {
		if line != nil {
			line(lines.Bytes())
		}
	}
	_, _ = io.Copy(io.Discard, output) // an overlong line must not block the process
	p.err = errors.Join(p.command.Wait(), log.Close())
}

// ended says whether the process is gone.
func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// stop asks the process to end, and kills it when it does not.
func (p *process) stop() error {
	if !p.ended() {
		_ = p.command.Process.Signal(syscall.SIGTERM) // it may have ended meanwhile
	}
	select {
	case <-p.done:
		return nil
	case <-time.After(stopGrace):
	}
	_ = p.command.Process.Kill()
	<-p.done
	return fmt.Errorf("stop %s: it did not end within %s and was killed; its log is %s", p.name, stopGrace, p.log)
}

// stopAll stops processes side by side.
func stopAll(processes []*process) error {
	errs := make([]error, len(processes))
	var wait sync.WaitGroup
	for i, p := range processes {
		wait.Go(func() { errs[i] = p.stop() })
	}
	wait.Wait()
	return errors.Join(errs...)
}

// lastWords gives the end of a log for an error message.
func lastWords(path string) string {
	const most = 600
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-most):])
}
