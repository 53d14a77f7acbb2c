package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"dancer/mesh/conflict"
	"dancer/runtime/conflicts"
	"dancer/storage/segment"
)

// conflictFlags choose conflicts and say where their log is.
type conflictFlags struct {
	data, since, until, agent, kind string
	priority, limit                 int
	asJSON                          bool
}

func newConflicts() *cobra.Command {
	var o conflictFlags
	cmd := &cobra.Command{
		Use:   "conflicts",
		Short: "what did not agree in a cell: list it, show one, verify the log",
		Long: "Lists the conflicts that a robot or a conductor has logged, the newest first, each as its newest record says.\n" +
			"It reads the log in a data folder and asks nobody: it works without the process whose log it is, and\n" +
			"beside it. What robots and conductors log, and what becomes of it, is in docs/conflicts.md.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.list(cmd) },
	}
	f := cmd.Flags()
	f.StringVar(&o.since, "since", "", "records from then on: RFC 3339, or a duration ago such as 24h")
	f.StringVar(&o.until, "until", "", "records before then, the same")
	f.StringVar(&o.agent, "agent", "", "found by this robot or conductor, or sent by it")
	f.StringVar(&o.kind, "type", "", "one of "+typeList())
	f.IntVar(&o.priority, "priority", 0, "this one or a more urgent one, 0 to 4")
	f.IntVar(&o.limit, "limit", 50, "at most so many, 0 for all")
	cmd.PersistentFlags().StringVar(&o.data, "data", "", "data folder of a robot or a conductor (default: the conductor's)")
	cmd.PersistentFlags().BoolVar(&o.asJSON, "json", false, "print JSON")
	cmd.AddCommand(o.newShow(), o.newVerify())
	return cmd
}

func typeList() string {
	var names []string
	for _, t := range conflict.Types() {
		names = append(names, t.String())
	}
	return strings.Join(names, ", ")
}

func (o *conflictFlags) newShow() *cobra.Command {
	return &cobra.Command{
		Use:   "show ID",
		Short: "everything that was logged of one conflict, and how its type is resolved",
		Args:  cobra.ExactArgs(1),
		RunE:  func(cmd *cobra.Command, args []string) error { return o.show(cmd, args[0]) },
	}
}

func (o *conflictFlags) newVerify() *cobra.Command {
	var head string
	cmd := &cobra.Command{
		Use:   "verify [DIR]",
		Short: "check every byte of a log of conflicts, and that none is missing",
		Long: "Checks the checksums, the chain of hashes over all records, the order of the segments and the end against\n" +
			"the head that is kept beside the log. It never writes.\n\n" +
			"Exit code 0: sound, 1: something is wrong, with what and where, 2: it cannot be read. The head that it\n" +
			"prints, noted elsewhere and given with --head, also finds what somebody has changed who could write to\n" +
			"both the log and its head.",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				o.data = args[0]
			}
			return o.verify(cmd, head)
		},
	}
	cmd.Flags().StringVar(&head, "head", "", "head that was noted before, COUNT:HASH")
	return cmd
}

// folder is --data, or the conductor's default.
func (o *conflictFlags) folder() (string, error) {
	if o.data != "" {
		return o.data, nil
	}
	dir, err := conductorFolder("conductor")
	if err != nil {
		return "", exitError{exitUsage, err}
	}
	if _, err := os.Stat(dir); err != nil {
		return "", exitError{exitUsage, fmt.Errorf("no conductor keeps its data in %s: give the folder of a robot or a conductor with --data", dir)}
	}
	return dir, nil
}

func (o *conflictFlags) query(now time.Time) (q conflicts.Query, err error) {
	q = conflicts.Query{Agent: o.agent, Limit: o.limit, Priority: conflict.Priority(o.priority)}
	if o.kind != "" {
		if q.Type, err = conflict.ParseType(strings.ToUpper(o.kind)); err != nil {
			return q, fmt.Errorf("--type: %w", err)
		}
	}
	if o.priority < 0 || !q.Priority.Valid() || o.limit < 0 {
		return q, errors.New("--priority is 0 to 4, --limit 0 or more")
	}
	if q.Since, err = moment("--since", o.since, now); err == nil {
		q.Until, err = moment("--until", o.until, now)
	}
	return q, err
}

// moment reads a time, or a duration before now.
func moment(flag, text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		return now.Add(-ago), nil
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return at, fmt.Errorf("%s %q: want RFC 3339, such as 2026-11-22T08:00:00Z, or a duration ago, such as 24h", flag, plain(text))
	}
	return at, nil
}

// read asks the log. Damage is said on standard error: verify says where.
func (o *conflictFlags) read(cmd *cobra.Command, q conflicts.Query) (*conflicts.Listed, error) {
	dir, err := o.folder()
	if err != nil {
		return nil, err
	}
	found, err := conflicts.Read(dir, q)
	if err != nil {
		return nil, exitError{exitUsage, err}
	}
	if found.Damaged > 0 {
		fmt.Fprintf(cmd.ErrOrStderr(), "dancer: the log is damaged in %d places: dancer conflicts verify %s says where\n", found.Damaged, dir)
	}
	if found.Unread > 0 {
		fmt.Fprintf(cmd.ErrOrStderr(), "dancer: %d records are of another version and not shown\n", found.Unread)
	}
	return found, nil
}

func (o *conflictFlags) list(cmd *cobra.Command) error {
	q, err := o.query(time.Now())
	if err != nil {
		return exitError{exitUsage, err}
	}
	found, err := o.read(cmd, q)
	if err != nil {
		return err
	}
	if o.asJSON {
		return printJSON(cmd, found)
	}
	if len(found.Conflicts) == 0 {
		_, err := fmt.Fprintln(cmd.OutOrStdout(), "no conflicts")
		return err
	}
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tLAST\tTYPE\tPRIORITY\tSTATUS\tTIMES\tAGENT\tWHAT")
	for i := range found.Conflicts {
		r := &found.Conflicts[i]
		row := []string{r.ID, r.At.Format(time.RFC3339), r.Type.String(), priorityText(r.Priority), r.Event, strconv.FormatUint(r.Count, 10), r.Agent,
			fmt.Sprintf("%s: expected %s, received %s", r.Subject, r.Expected.Text, r.Received.Text)}
		for i := range row {
			row[i] = plain(row[i])
		}
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	return w.Flush()
}

func priorityText(p conflict.Priority) string { return fmt.Sprintf("%d %s", p, p) }

func (o *conflictFlags) show(cmd *cobra.Command, id string) error {
	found, err := o.read(cmd, conflicts.Query{ID: id})
	if err != nil {
		return err
	}
	if len(found.History) == 0 {
		return exitError{exitJob, fmt.Errorf("no conflict %s is in the log: dancer conflicts lists them", plain(id))}
	}
	if o.asJSON {
		return printJSON(cmd, found.History)
	}
	return printLines(cmd, conflicts.Explain(found.History))
}

// verified is what verify prints as JSON.
type verified struct {
	Folder string `json:"folder"`
	Sound  bool   `json:"sound"`
	Head   string `json:"head"`
	*segment.Report
}

func (o *conflictFlags) verify(cmd *cobra.Command, noted string) error {
	dir, err := o.folder()
	if err != nil {
		return err
	}
	var known *segment.Head
	if noted != "" {
		head, err := segment.ParseHead(noted)
		if err != nil {
			return exitError{exitUsage, fmt.Errorf("--head: %w", err)}
		}
		known = &head
	}
	report, folder, err := conflicts.Verify(dir, known)
	if err != nil {
		return exitError{exitUsage, err}
	}
	if o.asJSON {
		err = printJSON(cmd, verified{folder, report.Sound(), report.Head.String(), report})
	} else {
		err = printLines(cmd, conflicts.Verdict(folder, report))
	}
	if err == nil && !report.Sound() {
		return exitError{exitJob, nil}
	}
	return err
}
