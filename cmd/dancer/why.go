package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"

	"github.com/spf13/cobra"

	"dancer/dancer"
	"dancer/partner"
	"dancer/runtime/config"
	"dancer/runtime/web"
)

// defaultRobot is where a robot serves its own page.
const defaultRobot = "http://127.0.0.1:8421"

// whyFlags say whose decision is explained and how.
type whyFlags struct {
	robot  client
	file   string // a decision in a file, with
	config string // the robot that made it
	asJSON bool
}

func newWhy() *cobra.Command {
	o := whyFlags{robot: client{what: "robot", flag: "--robot"}}
	cmd := &cobra.Command{
		Use:   "why [DECISION]",
		Short: "why a robot decided as it did: the newest decision, or one by its id",
		Long: "Prints one stored decision in plain words: what was decided, which floors vetoed what, what was forecast\n" +
			"for every option, on which readings, and what would have had to be different for another verdict. It asks\n" +
			"the robot's own page (--robot URL), or reads a decision from a file (--file, with --config ROBOT.yaml).",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.file != "" {
				return o.whyOfFile(cmd, args)
			}
			return o.whyOfRobot(cmd, args)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.robot.url, "robot", defaultRobot, "address of the robot's own page (listen: in robot.yaml)")
	f.StringVar(&o.robot.tokenFile, "token-file", "", "file with the robot's token, where it asks for one")
	f.StringVar(&o.robot.caFile, "ca-file", "", "PEM file with the certificate of an https robot")
	f.StringVar(&o.file, "file", "", "file with a decision as JSON, in place of a robot")
	f.StringVar(&o.config, "config", "", "robot.yaml of the robot that made the decision of --file")
	f.BoolVar(&o.asJSON, "json", false, "print the whole record as JSON, with counterfactuals")
	return cmd
}

// whyOfRobot explains a decision that the robot has stored. A robot that cannot
// say what would have had to be different still says the rest.
func (o *whyFlags) whyOfRobot(cmd *cobra.Command, args []string) error {
	record, err := fetchDecision(cmd, &o.robot, args)
	if err != nil {
		return err
	}
	d, err := readDecision(record)
	if err != nil {
		return err
	}
	if err := o.explain(cmd, &d); err != nil {
		return err
	}
	var why web.Why
	err = o.robot.get(cmd.Context(), "/api/v1/decisions/"+url.PathEscape(d.ID)+"/why", &why)
	return o.print(cmd, record, &why, err)
}

// whyOfFile explains a decision with the manual that made it.
func (o *whyFlags) whyOfFile(cmd *cobra.Command, args []string) error {
	if len(args) > 0 || o.config == "" {
		return exitError{exitUsage, errors.New("give one of them: a DECISION that the robot stored, or --file DECISION.json with --config ROBOT.yaml")}
	}
	record, err := os.ReadFile(o.file)
	if err != nil {
		return exitError{exitUsage, fmt.Errorf("read --file: %w", err)}
	}
	d, err := readDecision(record)
	if err != nil {
		return err
	}
	robot, problems := config.Load(o.config, config.Options{})
	if err := problems.Err(); err != nil {
		return exitError{exitUsage, err}
	}
	if err := o.explain(cmd, &d); err != nil {
		return err
	}
	var p partner.Partner
	decide := func(in dancer.Input) dancer.Decision { return dancer.Decide(robot.Manual, in, p.Corners, p.Forecast) }
	all, left, err := dancer.Counterfactuals(robot.Manual, &d, decide, func() bool { return cmd.Context().Err() == nil })
	if errors.Is(err, dancer.ErrOtherManual) {
		err = fmt.Errorf("%w: give --config the robot.yaml of that time, with its manual", err)
	}
	return o.print(cmd, record, &web.Why{Decision: d.ID, Manual: robot.Manual.Hash, Counterfactuals: all, LeftOut: left}, err)
}

func readDecision(record []byte) (d dancer.Decision, err error) {
	if err := json.Unmarshal(record, &d); err != nil {
		return d, exitError{exitJob, fmt.Errorf("read decision: %w", err)}
	}
	if d.Version != dancer.RecordVersion {
		return d, exitError{exitJob, fmt.Errorf("read decision: it has version %d, this program reads %d (print it with dancer why --json)", d.Version, dancer.RecordVersion)}
	}
	return d, nil
}

// explain writes the decision in plain words. It is there at once, while what
// would have had to be different takes up to some seconds.
func (o *whyFlags) explain(cmd *cobra.Command, d *dancer.Decision) error {
	if o.asJSON {
		return nil
	}
	return printLines(cmd, d.Explain())
}

// print writes what would have had to be different, and as JSON the record with
// it. Where that cannot be said it says why not.
func (o *whyFlags) print(cmd *cobra.Command, record []byte, why *web.Why, failed error) error {
	if o.asJSON {
		return printWhy(cmd, record, why, failed)
	}
	var lines []string
	for _, words := range why.Words() {
		lines = append(lines, "otherwise: "+words)
	}
	if failed != nil {
		lines = append(lines, "otherwise: "+failed.Error())
	}
	return printLines(cmd, lines)
}

func printLines(cmd *cobra.Command, lines []string) error {
	for _, line := range lines {
		if _, err := fmt.Fprintln(cmd.OutOrStdout(), plain(line)); err != nil {
			return err
		}
	}
	return nil
}

// printWhy prints the record as it was stored, with the counter-factuals beside
// its own fields, or with the reason why there are none.
func printWhy(cmd *cobra.Command, record []byte, why *web.Why, failed error) error {
	fields := map[string]json.RawMessage{}
	if err := json.Unmarshal(record, &fields); err != nil {
		return exitError{exitJob, fmt.Errorf("read decision: %w", err)}
	}
	var beside any = why.Counterfactuals
	name := "counterfactuals"
	if failed != nil {
		name, beside = "counterfactuals_missing", failed.Error()
	}
	raw, err := json.Marshal(beside)
	if err != nil {
		return err
	}
	fields[name] = raw
	return printJSON(cmd, fields)
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
