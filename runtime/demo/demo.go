package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"dancer/mesh/conductor"
)

// Config of a demo.
type Config struct {
	Executable string        // the dancer binary
	Out        io.Writer     // what happened, line by line
	For        time.Duration // how long; 0: until the context ends
	Headless   bool          // say at the end whether everything happened, and fail if not
}

// Limits of the demo's start.
const (
	conductorLimit = 30 * time.Second
	robotsLimit    = 30 * time.Second
	lookEvery      = 500 * time.Millisecond
)

// Run plays the demo until its time is over or the context ends. It leaves no
// process and no file behind. When it fails, the message carries the last words
// of the process that did.
func Run(ctx context.Context, c Config) (err error) {
	dir, err := os.MkdirTemp("", "dancer-demo-")
	if err != nil {
		return fmt.Errorf("make the demo's folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	d := &demo{config: c, dir: dir, story: &story{began: time.Now(), out: c.Out, driven: map[string]string{}}}
	err = d.play(ctx)
	if stopErr := stopAll(d.robots); stopErr != nil {
		err = errors.Join(err, stopErr)
	}
	if d.conductor != nil {
		err = errors.Join(err, d.conductor.stop())
	}
	if err == nil && c.Headless {
		err = d.judge()
	}
	return err
}

type demo struct {
	config    Config
	dir       string
	cell      string
	story     *story
	api       *api
	conductor *process
	robots    []*process
	pages     []string // of the robots, in the cast's order
}

func (d *demo) play(ctx context.Context) error {
	broker, err := d.startConductor(ctx)
	if err != nil {
		return ignoreEnd(ctx, err)
	}
	if err := d.startRobots(ctx, broker); err != nil {
		return ignoreEnd(ctx, err)
	}
	fmt.Fprintf(d.config.Out, "\n  dashboard: %s\n\n", d.api.url)
	if !d.config.Headless {
		for i, member := range cast {
			fmt.Fprintf(d.config.Out, "  why %s does what it does: %s why --robot %s\n", member.name, d.config.Executable, d.pages[i])
		}
		fmt.Fprintln(d.config.Out)
		fmt.Fprintf(d.config.Out, "  Ctrl-C ends the demo.\n\n")
	}
	if d.config.For > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d.config.For)
		defer cancel()
	}
	if err := d.startMoving(ctx); err != nil {
		return ignoreEnd(ctx, err)
	}
	return d.watch(ctx)
}

// ignoreEnd makes the end of the demo's time no error.
func ignoreEnd(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func (d *demo) startConductor(ctx context.Context) (broker string, err error) {
	listen, err := freeAddress(defaultListen)
	if err != nil {
		return "", err
	}
	broker, err = freeAddress(defaultBroker)
	if err != nil {
		return "", err
	}
	d.cell = cellName(listen)
	file, err := conductorFile(d.dir, d.cell, listen, broker)
	if err != nil {
		return "", err
	}
	d.conductor, err = start(ctx, d.config.Executable, d.dir, "conductor", nil, "conductor", file, "--data", filepath.Join(d.dir, "conductor-data"))
	if err != nil {
		return "", err
	}
	d.api = newAPI("http://" + listen)
	err = d.wait(ctx, conductorLimit, "the conductor answers", func(ctx context.Context) error {
		return d.api.get(ctx, "/api/v1/status", nil)
	})
	return "mqtt://" + broker, err
}

func (d *demo) startRobots(ctx context.Context, broker string) error {
	for i, member := range cast {
		listen, err := freeAddress(fmt.Sprintf("127.0.0.1:%d", firstPage+i))
		if err != nil {
			return err
		}
		file, err := layOut(d.dir, member.folder, d.cell, broker, listen)
		if err != nil {
			return err
		}
		d.pages = append(d.pages, "http://"+listen)
		p, err := start(ctx, d.config.Executable, d.dir, member.name, func(line []byte) { d.story.hear(member.name, line) },
			"run", file, "--data", filepath.Join(d.dir, member.name), "--events", "-")
		if err != nil {
			return err
		}
		d.robots = append(d.robots, p)
	}
	return d.wait(ctx, robotsLimit, "the conductor sees the robots", func(ctx context.Context) error {
		alive, err := d.alive(ctx)
		if err == nil && alive < len(cast) {
			err = fmt.Errorf("%d of %d robots are there", alive, len(cast))
		}
		return err
	})
}

// startMoving presses start on each robot, as an operator would.
func (d *demo) startMoving(ctx context.Context) error {
	for _, member := range cast {
		err := d.wait(ctx, robotsLimit, member.name+" starts", func(ctx context.Context) error {
			return d.api.post(ctx, "/api/v1/agents/"+member.name+"/start", map[string]string{"by": "demo"})
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// watch looks at the conductor until the time is over.
func (d *demo) watch(ctx context.Context) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := d.crashed(); err != nil {
			return err
		}
		alive, err := d.alive(ctx)
		if err != nil {
			continue // the end of the time, or a conductor that crashed: seen next time
		}
		open, err := d.open(ctx)
		if err == nil {
			d.story.seen(alive, open > 0)
		}
	}
}

func (d *demo) alive(ctx context.Context) (int, error) {
	var list struct {
		Agents []conductor.Agent `json:"agents"`
	}
	if err := d.api.get(ctx, "/api/v1/agents", &list); err != nil {
		return 0, err
	}
	alive := 0
	for i := range list.Agents {
		if list.Agents[i].Alive && list.Agents[i].State != nil {
			alive++
		}
	}
	return alive, nil
}

func (d *demo) open(ctx context.Context) (int, error) {
	var list struct {
		Escalations []conductor.Question `json:"escalations"`
	}
	err := d.api.get(ctx, "/api/v1/escalations?state=open", &list)
	return len(list.Escalations), err
}

// wait repeats f, and gives up early when a process has ended.
func (d *demo) wait(ctx context.Context, limit time.Duration, what string, f func(context.Context) error) error {
	var crash error
	err := until(ctx, limit, func(ctx context.Context) error {
		if crash = d.crashed(); crash != nil {
			return nil
		}
		return f(ctx)
	})
	if crash != nil {
		return crash
	}
	if err != nil {
		return fmt.Errorf("wait until %s (%s): %w", what, limit, err)
	}
	return nil
}

// crashed gives the first process that ended by itself.
func (d *demo) crashed() error {
	for _, p := range append([]*process{d.conductor}, d.robots...) {
		if p != nil && p.ended() {
			return fmt.Errorf("%s ended: %w\n%s", p.name, orUnexpected(p.err), lastWords(p.log))
		}
	}
	return nil
}

func orUnexpected(err error) error {
	if err == nil {
		return errors.New("unexpectedly, without an error")
	}
	return err
}

// judge says whether everything happened.
func (d *demo) judge() error {
	missing := d.story.missing()
	if len(missing) == 0 {
		fmt.Fprintln(d.config.Out, "\nEverything happened: the fire was put out because doing nothing was worse, and the gas leak was asked about\nwhile the least-violating option ran.")
		return nil
	}
	return fmt.Errorf("the demo did not show everything:\n  - %s", strings.Join(missing, "\n  - "))
}
