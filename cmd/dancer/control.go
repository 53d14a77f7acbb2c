package main

import (
	"fmt"
	"os"
	"os/user"
	"time"

	"github.com/spf13/cobra"

	"dancer/runtime"
)

// controlTimeout bounds the wait for a robot's answer: it comes from a loop that
// runs many times a second.
const controlTimeout = 3 * time.Second

func newStart() *cobra.Command {
	return newControl("start", "let a robot move: outputs follow its decisions from now on")
}

func newStop() *cobra.Command {
	return newControl("stop", "stop a robot: outputs go to their safe values until the next start")
}

func newClear() *cobra.Command {
	return newControl("clear", "clear the latches of a robot: it is armed again and does not move before a start")
}

// newControl is start, stop or clear. They reach a robot of this machine without
// a conductor, and any other through one.
func newControl(do, short string) *cobra.Command {
	var data, by, latch string
	var remote client
	cmd := &cobra.Command{
		Use:   do + " [ROBOT]",
		Short: short,
		Long: short + ".\n\nROBOT is a robot that runs on this machine (the only one, when left out), or with --conductor any robot\n" +
			"of that conductor's cell.",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			robot := ""
			if len(args) == 1 {
				robot = args[0]
			}
			if by == "" {
				by = operator()
			}
			if cmd.Flags().Changed("conductor") {
				return remote.control(cmd, robot, do, by, latch)
			}
			answer, err := runtime.Control(runtime.Target{Robot: robot, DataDir: data}, do, by, latch, controlTimeout)
			if err != nil {
				return exitError{exitJob, err}
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), answer)
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&data, "data", "", "data folder of the robot, where dancer run has another than the default")
	f.StringVar(&by, "by", "", "who asks (default: the user of this shell)")
	remote.flags(f)
	if do == "clear" {
		f.StringVar(&latch, "latch", "", "clear this reflex's latch alone (default: all)")
	}
	return cmd
}

// operator names the person at this shell.
func operator() string {
	if u, err := user.Current(); err == nil && u.Username != "" {
		return u.Username
	}
	return "uid-" + fmt.Sprint(os.Getuid())
}
