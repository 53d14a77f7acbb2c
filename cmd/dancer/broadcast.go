package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	console "dancer/mesh/operator"
)

func newBroadcast() *cobra.Command {
	var o order
	var at string
	cmd := &cobra.Command{
		Use:   "broadcast MESSAGE",
		Short: "have agents do one thing at one moment T: all of a mesh, or a part",
		Long: "Sends MESSAGE to every agent of a mesh, or of a part of it, early enough that all are READY at one moment\n" +
			"T, and act then. T is as soon as all can be READY, unless --in or --at says when.\n\n" +
			"What is decided is a quorum: how many of those who were addressed are READY before T. Without it the\n" +
			"message is called back and nobody acts. Ctrl-C before T calls it back as well.\n\n" +
			"Exit code 0: the quorum was there, 1: it was not, or the mesh does not allow it now, 2: bad usage.",
		Example: "  dancer broadcast \"market closed early today\"\n" +
			"  dancer broadcast \"lights out\" --scope sector-3 --class E --in 2s\n" +
			"  dancer broadcast \"new manual\" --pattern wave --confirm --at 2026-11-22T18:00:00Z",
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			o.body.Text = strings.Join(args, " ")
			if o.body.At, err = instant(at, time.Now()); err != nil {
				return exitError{exitUsage, err}
			}
			return o.run(cmd, console.Broadcast)
		},
	}
	f, b := cmd.Flags(), &o.body
	f.StringVar(&b.Scope, "scope", "", "all (default), sector-N or cluster-N")
	f.StringVar(&b.Pattern, "pattern", "", "wave: sectors, then clusters, then agents (default); parallel: everybody at once; priority-first: class by class")
	f.DurationVar(&b.In, "in", 0, "T so far ahead (default: as soon as all can be READY)")
	f.StringVar(&at, "at", "", "T by the wall clock, RFC 3339 or 15:04:05 of today")
	f.BoolVar(&b.Confirm, "confirm", false, "agents act with a confirmation alone, which is sent when the quorum is there")
	cmd.MarkFlagsMutuallyExclusive("in", "at")
	o.choosing(f)
	o.urging(f)
	o.flags(f)
	return cmd
}

// instant reads a moment that is to come; "" is none.
func instant(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if t, err := time.ParseInLocation("15:04:05", text, now.Location()); err == nil {
		return time.Date(now.Year(), now.Month(), now.Day(), t.Hour(), t.Minute(), t.Second(), 0, now.Location()), nil
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return t, fmt.Errorf("--at %q: want RFC 3339, such as 2026-11-22T18:00:00Z, or 18:00:00 of today", plain(text))
	}
	return t, nil
}
