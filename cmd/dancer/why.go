package main

import (
	"encoding/json"
	"fmt"
	"net/url"

	"github.com/spf13/cobra"

	"dancer/dancer"
)

// defaultRobot is where a robot serves its own page.
const defaultRobot = "http://127.0.0.1:8421"

func newWhy() *cobra.Command {
	var asJSON bool
	robot := client{what: "robot", flag: "--robot"}
	cmd := &cobra.Command{
		Use:   "why [DECISION]",
		Short: "why a robot decided as it did: the newest decision, or one by its id",
		Long: "Prints one stored decision in plain words: what was decided, which floors vetoed what, what was forecast\n" +
			"for every option, and on which readings. It asks the robot's own page (--robot URL).",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			record, err := fetchDecision(cmd, &robot, args)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd, record)
			}
			return explain(cmd, record)
		},
	}
	f := cmd.Flags()
	f.StringVar(&robot.url, "robot", defaultRobot, "address of the robot's own page (listen: in robot.yaml)")
	f.StringVar(&robot.tokenFile, "token-file", "", "file with the robot's token, where it asks for one")
	f.StringVar(&robot.caFile, "ca-file", "", "PEM file with the certificate of an https robot")
	f.BoolVar(&asJSON, "json", false, "print the whole record as JSON")
	return cmd
}

// fetchDecision asks for the decision of that id, or for the newest.
func fetchDecision(cmd *cobra.Command, robot *client, args []string) (json.RawMessage, error) {
	if len(args) == 1 {
		var record json.RawMessage
		return record, robot.get(cmd.Context(), "/api/v1/decisions/"+url.PathEscape(args[0]), &record)
	}
	var list struct {
		Decisions []json.RawMessage `json:"decisions"`
	}
	if err := robot.get(cmd.Context(), "/api/v1/decisions?limit=1", &list); err != nil {
		return nil, err
	}
	if len(list.Decisions) == 0 {
		return nil, exitError{exitJob, fmt.Errorf("ask %s: it has not stored a decision yet", robot.url)}
	}
	return list.Decisions[0], nil
}

func explain(cmd *cobra.Command, record json.RawMessage) error {
	var d dancer.Decision
	if err := json.Unmarshal(record, &d); err != nil {
		return exitError{exitJob, fmt.Errorf("read decision: %w", err)}
	}
	for _, line := range d.Explain() {
		if _, err := fmt.Fprintln(cmd.OutOrStdout(), plain(line)); err != nil {
			return err
		}
	}
	return nil
}
