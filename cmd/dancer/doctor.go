package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"dancer/runtime"
	"dancer/runtime/config"
	"dancer/runtime/doctor"
)

// exitWarnings is the exit code of a doctor that found warnings and no fault.
const exitWarnings = 3

// doctoring is what a run of doctor does.
type doctoring struct {
	config.Options
	data  string
	user  string
	json  bool
	quiet bool
}

// newDoctor says what is wrong with the machine, and with a robot's devices.
func newDoctor() *cobra.Command {
	var d doctoring
	cmd := &cobra.Command{
		Use:   "doctor [ROBOT.yaml]",
		Short: "say what is wrong with this machine, and with the devices of a robot, and how to cure it",
		Long: "doctor looks at what delays a reflex or loses what keeps a robot safe: kernel, priorities, memory,\n" +
			"clock, power supply, Wi-Fi power save, disks, permissions. With a robot's file it looks at the robot's\n" +
			"ports, pins, data folder and broker as well. It changes nothing, and needs no root, but sees more with it.\n\n" +
			"Exit code 0: nothing above a note, 3: warnings and no fault, 1: faults, 2: the file or the user cannot be used.",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return d.run(cmd, args) },
	}
	f := cmd.Flags()
	f.StringVar(&d.Board, "board", "", "board, in place of the one in ROBOT.yaml")
	f.StringVar(&d.data, "data", "", "data folder of the robot (default: the one that run would take)")
	f.StringVar(&d.user, "user", "", "whose permissions count (default: you; for root, the service's user where the service is installed)")
	f.BoolVar(&d.json, "json", false, "write one JSON object")
	f.BoolVar(&d.quiet, "quiet", false, "write only what is above ok")
	cmd.AddCommand(newDoctorKeys())
	return cmd
}

func (d *doctoring) run(cmd *cobra.Command, args []string) error {
	machine := doctor.This()
	machine.User = d.user
	var robot *doctor.Robot
	if len(args) == 1 {
		var err error
		if robot, err = d.load(args[0]); err != nil {
			return exitError{exitUsage, err}
		}
	}
	report, err := doctor.Examine(cmd.Context(), machine, robot)
	if err != nil {
		return exitError{exitUsage, err}
	}
	if err := d.write(cmd, report); err != nil {
		return exitError{exitJob, err}
	}
	switch report.Worst {
	case doctor.Fault:
		return exitError{exitJob, nil}
	case doctor.Warning:
		return exitError{exitWarnings, nil}
	}
	return nil
}

// load reads the robot's file. A device that is not there is a finding, not a
// fault of the file.
func (d *doctoring) load(path string) (*doctor.Robot, error) {
	robot, problems := config.Load(path, d.Options)
	if err := problems.Err(); err != nil {
		return nil, err
	}
	data := d.data
	if data == "" {
		var err error
		if data, err = runtime.DataFolder(robot.Name); err != nil {
			return nil, err
		}
	}
	data, err := filepath.Abs(data)
	if err != nil {
		return nil, fmt.Errorf("find data folder: %w", err)
	}
	return &doctor.Robot{Robot: robot, Data: data}, nil
}

func (d *doctoring) write(cmd *cobra.Command, report doctor.Report) error {
	if d.json {
		if d.quiet {
			report = report.AboveOK()
		}
		return writeJSON(cmd.OutOrStdout(), report)
	}
	return doctor.Text{Color: colored(cmd), Quiet: d.quiet}.Write(cmd.OutOrStdout(), report)
}

// colored says whether the output is a terminal that wants colours
// (https://no-color.org).
func colored(cmd *cobra.Command) bool {
	f, isFile := cmd.OutOrStdout().(*os.File)
	return isFile && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && term.IsTerminal(int(f.Fd()))
}
