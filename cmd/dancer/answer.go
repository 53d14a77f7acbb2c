package main

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"dancer/mesh"
	"dancer/mesh/conductor"
)

func newAnswer() *cobra.Command {
	var c client
	var ruling struct {
		Verdict string `json:"verdict"`
		Option  string `json:"option,omitempty"`
		By      string `json:"by"`
		Note    string `json:"note,omitempty"`
	}
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "answer ID VERDICT",
		Short: "rule on an open question of a robot",
		Long: "Rules on the question ID: its id as `dancer escalations` shows it, or the last characters of it.\n" +
			"VERDICT is approve, deny, defer, reschedule or escalate.\n\n" +
			"approve lets the proposed option run, or the one that --option names; deny keeps the hold for this\n" +
			"situation and wins over an approval; defer takes more time once. The robot judges every ruling against\n" +
			"its floors: no ruling makes a vetoed option run.",
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			ruling.Verdict = args[1]
			if mesh.Restrictiveness(ruling.Verdict) == 0 {
				return exitError{exitUsage, fmt.Errorf("%q is no verdict (give approve, deny, defer, reschedule or escalate)", plain(args[1]))}
			}
			if ruling.By == "" {
				ruling.By = operator()
			}
			question, err := c.find(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			receipt, err := c.post(cmd.Context(), "/api/v1/escalations/"+url.PathEscape(question.ID)+"/ruling", ruling)
			if err != nil {
				return err
			}
			if !asJSON {
				return told(cmd, question.Robot, receipt)
			}
			if err := printJSON(cmd, receipt); err != nil {
				return err
			}
			if receipt.Ack != nil && receipt.Ack.Outcome != conductor.AckApplied && receipt.Ack.Outcome != conductor.AckKept {
				return exitError{exitJob, nil}
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&ruling.Option, "option", "", "approve this option (default: the proposed one)")
	f.StringVar(&ruling.Note, "note", "", "why; it is kept with the ruling")
	f.StringVar(&ruling.By, "by", "", "who rules (default: the user of this shell)")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	c.flags(f)
	return cmd
}

// find gives the question of an id, or of the end of one: ids of one minute
// begin alike, and nobody types 26 characters.
func (c *client) find(ctx context.Context, id string) (conductor.Question, error) {
	var question conductor.Question
	if mesh.ValidID(id) {
		return question, c.get(ctx, "/api/v1/escalations/"+id, &question)
	}
	var list struct {
		Escalations []conductor.Question `json:"escalations"`
	}
	if err := c.get(ctx, "/api/v1/escalations?state=open", &list); err != nil {
		return question, err
	}
	var found []conductor.Question
	for _, q := range list.Escalations {
		if len(id) >= 4 && strings.HasSuffix(q.ID, strings.ToUpper(id)) {
			found = append(found, q)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return question, exitError{exitUsage, fmt.Errorf("find question %q: no open question has this id or ends with it (list them with `dancer escalations`; give at least 4 characters)", plain(id))}
	}
	return question, exitError{exitUsage, fmt.Errorf("find question %q: %d open questions end with it (give more of the id)", plain(id), len(found))}
}
