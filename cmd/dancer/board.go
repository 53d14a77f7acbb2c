package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"dancer/boards"
	"dancer/runtime/config"
)

// boardCommand says which board this is, and draws the header of a board, with what
// a robot uses of it.
type boardCommand struct {
	json  bool
	board string // overrides the robot's
}

func newBoard() *cobra.Command {
	var b boardCommand
	cmd := &cobra.Command{
		Use:   "board [NAME|ROBOT.yaml]",
		Short: "say which board this machine is, and draw the header of a board with what a robot uses of it",
		Args:  cobra.MaximumNArgs(1),
		RunE:  b.run,
	}
	cmd.Flags().BoolVar(&b.json, "json", false, "write one JSON object")
	cmd.Flags().StringVar(&b.board, "board", "", "with ROBOT.yaml: this board in place of the file's")
	return cmd
}

func (b *boardCommand) run(cmd *cobra.Command, args []string) error {
	isRobot := len(args) == 1 && slices.Contains([]string{".yaml", ".yml"}, filepath.Ext(args[0]))
	switch {
	case isRobot:
		return b.robot(cmd, args[0])
	case b.board != "":
		return exitError{exitUsage, errors.New("--board is for a robot's file: name ROBOT.yaml, or the board alone")}
	case len(args) == 0:
		return b.here(cmd)
	}
	p, err := boards.Get(args[0])
	if err != nil {
		return exitError{exitUsage, fmt.Errorf("%w (boards: %s; or name a robot's file)", err, strings.Join(boards.Names(), ", "))}
	}
	return b.show(cmd, shownBoard{Profile: p})
}

// robot draws the board of a robot with what it uses. A file with faults is not
// drawn: what it uses is not certain.
func (b *boardCommand) robot(cmd *cobra.Command, path string) error {
	r, problems := config.Load(path, config.Options{Board: b.board})
	if err := problems.Err(); err != nil {
		code := exitJob
		if problems.Unreadable() {
			code = exitUsage
		}
		return exitError{code, err}
	}
	return b.show(cmd, shownBoard{Profile: r.Board, Robot: r.Name, Uses: r.PinUses()})
}

// shownBoard is the output of `dancer board NAME --json`.
type shownBoard struct {
	boards.Profile
	Robot string       `json:"robot,omitempty"`
	Uses  []boards.Use `json:"uses"`
	Free  []string     `json:"free"` // lines that are nobody's
}

func (b *boardCommand) show(cmd *cobra.Command, s shownBoard) error {
	out := cmd.OutOrStdout()
	s.Free = s.Profile.Free(s.Uses)
	if b.json {
		if s.Uses == nil {
			s.Uses = []boards.Use{}
		}
		return writeJSON(out, s)
	}
	title := s.Name + ": " + s.Title
	if s.Robot != "" {
		title += ", robot " + s.Robot
	}
	if _, err := fmt.Fprintln(out, title); err != nil {
		return err
	}
	if err := (boards.Drawing{Color: colored(cmd)}).Write(out, s.Profile, s.Uses); err != nil {
		return err
	}
	return s.writeRest(out)
}

// writeRest says what is not in the drawing.
func (s *shownBoard) writeRest(out io.Writer) error {
	var lines []string
	say := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	for _, u := range s.Uses {
		if u.Pin == "" {
			say("%s: %s (%s)", u.Line, u.By, u.As)
		}
	}
	for _, p := range s.Serial {
		say("serial %s: %s", p.Device, p.Use)
	}
	for _, i := range s.I2C {
		say("i2c %s: %s", i.Device, i.Use)
	}
	for _, l := range s.Lines {
		if chip, ok := s.PWMChip(l); ok && l.Owner == "" {
			say("pwm %s: channel %d of %s; %s", l.Name, l.PWM.Channel, chip.Device, l.PWM.Setup)
		}
	}
	for _, note := range s.Notes {
		say("- %s", note)
	}
	say("source: %s", s.Source)
	for i, line := range lines {
		lines[i] = wrapped(line)
	}
	_, err := io.WriteString(out, strings.Join(lines, ""))
	return err
}

// wrapped breaks a line between words so that it fits a terminal of 80 columns.
func wrapped(line string) string {
	var b strings.Builder
	width := 0
	for i, word := range strings.Fields(line) {
		n := utf8.RuneCountInString(word)
		switch {
		case i == 0:
		case width+1+n > 80:
			b.WriteString("\n  ")
			width = 2
		default:
			b.WriteByte(' ')
			width++
		}
		b.WriteString(word)
		width += n
	}
	b.WriteByte('\n')
	return b.String()
}

// detected is the output of `dancer board --json`.
type detected struct {
	boards.Machine
	Devices []string `json:"devices"` // serial ports
	Boards  []string `json:"boards"`  // that dancer knows
}

// here says what this machine is, and draws its header where it has one.
func (b *boardCommand) here(cmd *cobra.Command) error {
	d, err := detect(os.DirFS("/"))
	if err != nil {
		return exitError{exitJob, err}
	}
	out := cmd.OutOrStdout()
	if b.json {
		return writeJSON(out, d)
	}
	model, ports := d.Model, "none"
	if model == "" {
		model = "no device tree"
	}
	if len(d.Devices) > 0 {
		ports = strings.Join(d.Devices, ", ")
	}
	if _, err := fmt.Fprintf(out, "this machine: %s (%s)\nserial ports: %s\nboards: %s\n", d.Board, model, ports, strings.Join(d.Boards, ", ")); err != nil {
		return err
	}
	p, err := boards.Get(d.Board)
	if err != nil || len(p.Connectors) == 0 {
		return err
	}
	return b.show(cmd, shownBoard{Profile: p})
}

func detect(root fs.FS) (detected, error) {
	m, err := boards.Identify(root)
	if err != nil {
		return detected{}, err
	}
	d := detected{m, config.Devices(root), boards.Names()}
	for _, list := range []*[]string{&d.Compatible, &d.Chips, &d.Devices} {
		if *list == nil {
			*list = []string{} // a list in JSON, whatever was found
		}
	}
	return d, nil
}

func writeJSON(out io.Writer, v any) error {
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}
