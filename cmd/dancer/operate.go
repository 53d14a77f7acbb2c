package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	console "dancer/mesh/operator"
	"dancer/runtime/web"
)

// orderWait is how long one look at an operation waits for news of it.
const orderWait = 2 * time.Second

// order is what every command of an operator has: who is asked, who asks, and how the
// result is shown.
type order struct {
	client
	asJSON   bool
	priority uint8
	body     struct {
		console.Order
		At time.Time `json:"at,omitzero"`
	}
}

func (o *order) flags(f *pflag.FlagSet) {
	f.StringVar(&o.body.By, "by", "", "who orders it (default: the user of this shell)")
	f.BoolVar(&o.asJSON, "json", false, "print the result as JSON")
	o.client.flags(f)
}

// choosing declares the flags of who is meant.
func (o *order) choosing(f *pflag.FlagSet) {
	b := &o.body
	f.StringVar(&b.Class, "class", "", "agents of this class alone: A to F, or edge, serverless, persistent, gpu, local, human")
	f.StringVar(&b.Capability, "capability", "", "agents with this capability alone")
}

// urging declares the flags of how much it matters.
func (o *order) urging(f *pflag.FlagSet) {
	b := &o.body
	f.Uint8Var(&o.priority, "priority", console.DefaultPriority, "0 background, 1 normal, 2 urgent, 3 critical")
	f.BoolVar(&b.Approved, "approve", false, "you have looked at this very order and want it, where the mode asks for an approval")
	f.Float64Var(&b.Weight, "weight", 0, "how heavy the payload is, up to 1000 (default: 1, a standard one)")
}

// run gives the order, shows how far it is and prints what came of it.
func (o *order) run(cmd *cobra.Command, kind console.Kind) error {
	o.body.Kind = kind
	if o.body.By == "" {
		o.body.By = operator()
	}
	if f := cmd.Flags().Lookup("priority"); f != nil && f.Changed {
		o.body.Priority = &o.priority
	}
	if err := o.body.Validate(); err != nil { // the same words as the server's, and sooner
		return exitError{exitUsage, err}
	}
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	raw, err := json.Marshal(o.body)
	if err != nil {
		return exitError{exitJob, err}
	}
	var op console.Operation
	if err := o.do(ctx, http.MethodPost, "/api/v1/mesh/"+string(kind), raw, &op); err != nil {
		return o.meshless(err)
	}
	if err := o.follow(ctx, cmd, &op); err != nil {
		return err
	}
	return o.print(cmd, &op)
}

// follow waits for the end of an operation. An interrupt calls it back.
func (o *order) follow(ctx context.Context, cmd *cobra.Command, op *console.Operation) error {
	show := newLine(cmd)
	defer show.clear()
	for !op.Ended() {
		show.set(string(op.Kind) + " to " + op.Scope + ": " + op.Progress())
		path := fmt.Sprintf("/api/v1/mesh/operations/%s?wait=%s&revision=%d", url.PathEscape(op.ID), orderWait, op.Revision)
		err := o.do(ctx, http.MethodGet, path, nil, op)
		if ctx.Err() != nil {
			return o.callBack(context.WithoutCancel(ctx), op)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// callBack cancels an operation, and gives how it stands then.
func (o *order) callBack(ctx context.Context, op *console.Operation) error {
	raw, err := json.Marshal(map[string]string{"by": o.body.By})
	if err == nil {
		err = o.do(ctx, http.MethodPost, "/api/v1/mesh/operations/"+url.PathEscape(op.ID)+"/cancel", raw, op)
	}
	return err
}

// print gives the result, and the exit code.
func (o *order) print(cmd *cobra.Command, op *console.Operation) error {
	var err error
	if o.asJSON {
		err = printJSON(cmd, op)
	} else {
		err = printPainted(cmd, op.Report(painter(cmd)))
	}
	if err == nil && !op.Succeeded() {
		return exitError{exitJob, nil}
	}
	return err
}

// meshless says in a person's words that a process has no mesh.
func (c *client) meshless(err error) error {
	var p web.Problem
	if errors.As(err, &p) && p.Status == http.StatusNotFound {
		_, flag, _ := c.words()
		return exitError{exitJob, fmt.Errorf("ask %s: it coordinates no mesh (give the address of one that does with %s: a robot whose cell does, or dancer fleet --serve)", c.url, flag)}
	}
	return err
}

// confirm asks a person at a terminal; elsewhere --yes has to be given.
func (o *order) confirm(cmd *cobra.Command, yes bool, kind console.Kind, scope string) error {
	if yes {
		return nil
	}
	in := cmd.InOrStdin()
	if file, ok := in.(*os.File); !ok || !term.IsTerminal(int(file.Fd())) {
		return exitError{exitUsage, fmt.Errorf("%s: there is nobody to ask whether you are sure (give --yes)", kind)}
	}
	var s console.Status
	if err := o.get(cmd.Context(), "/api/v1/mesh", &s); err != nil {
		return o.meshless(err)
	}
	if scope == "" {
		scope = "all"
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "%s %s of %s (%d agents, %d active)? [y/N] ", kind, plain(scope), plain(s.Name), s.Agents.Members+s.Agents.People, s.Agents.Active)
	return sure(in, kind)
}

func sure(in io.Reader, kind console.Kind) error {
	line, _ := bufio.NewReader(in).ReadString('\n') // the end of the input is a no
	switch strings.ToLower(strings.TrimSpace(line)) {
	case "y", "yes":
		return nil
	}
	return exitError{exitJob, fmt.Errorf("%s: not confirmed, nothing was done", kind)}
}

// painter colours on a terminal, and not where NO_COLOR is set (no-color.org).
func painter(cmd *cobra.Command) console.Painter {
	file, ok := cmd.OutOrStdout().(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) || os.Getenv("NO_COLOR") != "" {
		return nil
	}
	return paint
}

func paint(tone console.Tone, text string) string {
	codes := map[console.Tone]string{console.Good: "32", console.Warning: "33", console.Bad: "31", console.Faint: "2"}
	return "\x1b[" + codes[tone] + "m" + text + "\x1b[0m"
}

// printPainted prints lines whose texts are plain already, with their colours.
func printPainted(cmd *cobra.Command, lines []string) error {
	for _, text := range lines {
		if _, err := fmt.Fprintln(cmd.OutOrStdout(), text); err != nil {
			return err
		}
	}
	return nil
}

// line is a line of a terminal that is written over.
type line struct {
	to   io.Writer // nil: there is no terminal
	last string
}

func newLine(cmd *cobra.Command) *line {
	if file, ok := cmd.ErrOrStderr().(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		return &line{to: file}
	}
	return &line{}
}

func (l *line) set(text string) {
	if l.to != nil && text != l.last {
		fmt.Fprint(l.to, "\r\x1b[K"+plain(text))
		l.last = text
	}
}

func (l *line) clear() {
	if l.to != nil && l.last != "" {
		fmt.Fprint(l.to, "\r\x1b[K")
	}
}
