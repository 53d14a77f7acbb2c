// Command dancer is a safety-first edge runtime for robots: one static binary
// that reads sensors, reacts by reflex, decides by a ladder of values and asks a
// conductor or a human when every option is bad.
//
// This room holds one file per sub-command: flags are parsed here and handed to
// a room under runtime. It may import any room; nothing imports it, and no logic
// of the domain lives in it.
package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
)

// Exit codes that scripts may rely on.
const (
	exitDone  = 0 // the job is done
	exitJob   = 1 // the job failed
	exitUsage = 2 // bad usage or bad input
)

// exitError ends the program with a code of its own. A nil err means that
// everything has been printed already.
type exitError struct {
	code int
	err  error
}

func (e exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e exitError) Unwrap() error { return e.err }

func main() { os.Exit(execute(newRoot())) }

// execute runs the command line and gives the exit code. Errors of the command
// line itself (unknown flag, missing argument) are bad usage.
func execute(root *cobra.Command) int {
	cmd, err := root.ExecuteC()
	if err == nil {
		return exitDone
	}
	var exit exitError
	if !errors.As(err, &exit) {
		fmt.Fprintf(os.Stderr, "dancer: %v (usage: %s; more: %s --help)\n", err, cmd.UseLine(), cmd.CommandPath())
		return exitUsage
	}
	if exit.err != nil {
		fmt.Fprintf(os.Stderr, "dancer: %v\n", exit.err)
	}
	return exit.code
}

// newRoot is the whole command line.
func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "dancer",
		Short: "a safety-first edge runtime for robots",
		Long: "dancer reads a robot's sensors, reacts by reflex, decides by a ladder of values and asks a\n" +
			"conductor or a human when every option is bad.\n\n" +
			"It is not a certified safety function: wire a hardware emergency stop beneath it.",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(newRun(), newBrain(), newDemo(), newStart(), newStop(), newClear(),
		newCheck(), newSchema(), newBoard(), newConductor(), newStatus(), newAgents(), newEscalations(), newAnswer(),
		newBroadcast(), newAsk(), newDelegate(), newHeal(), newFreeze(), newThaw(),
		newWhy(), newConflicts(), newReplay(), newFleet(), newDoctor(), newVersion())
	return root
}
