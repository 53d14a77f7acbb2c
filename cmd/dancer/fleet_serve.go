package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"dancer/runtime"
	"dancer/runtime/fleet"
	"dancer/runtime/web"
)

// fleetServer are the flags of a fleet that an operator works with.
type fleetServer struct {
	address, tokenFile, certificate, key string
	speed                                float64
	real                                 bool
}

func (s *fleetServer) flags(f *pflag.FlagSet) {
	f.StringVar(&s.address, "serve", "", "keep the fleet running by the wall clock and serve the operator's API at this address, as 127.0.0.1:8420")
	f.BoolVar(&s.real, "real", false, "run on the wall clock, each node with a socket of its own on loopback; of the conditions only the clocks count")
	f.Float64Var(&s.speed, "speed", 1, "with --serve: so many times as fast as the wall clock")
	f.StringVar(&s.tokenFile, "serve-token-file", "", "with --serve: file with the token that is asked for; needed beyond loopback")
	f.StringVar(&s.certificate, "serve-certificate", "", "with --serve: PEM file of the certificate; needed beyond loopback")
	f.StringVar(&s.key, "serve-key", "", "with --serve: PEM file of its key")
}

// run serves a fleet until it is interrupted, or its time is over where --for says.
// Cascades are ordered by the operator, and by itself only where --cascades is given.
func (s *fleetServer) run(cmd *cobra.Command, o fleet.Options) error {
	flags := cmd.Flags()
	switch {
	case !flags.Changed("for"):
		o.For = 0
	case o.For <= 0:
		return exitError{exitUsage, errors.New("--for: with --serve leave it out, or give more than 0")}
	}
	if !flags.Changed("cascades") {
		o.Cascades = 0
	}
	if o.Cascades > 0 {
		spread := o.For
		if spread == 0 {
			spread = 10 * time.Minute
		}
		o.First = min(40*time.Second, spread/3)
		o.Every = max((spread-o.First)/time.Duration(o.Cascades), time.Second)
	}
	server, err := s.server(cmd)
	if err != nil {
		return exitError{exitUsage, err}
	}
	ctx, end := runtime.StopOnSignal(cmd.Context(), cmd.ErrOrStderr())
	defer end()
	err = fleet.Serve(ctx, fleet.ServeOptions{Options: o, Speed: s.speed, Server: *server, Ready: func(url string) {
		fmt.Fprintf(cmd.OutOrStdout(), "operator: %s\n", url)
	}})
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fleet.ErrInput):
		return exitError{exitUsage, err}
	}
	return exitError{exitJob, fmt.Errorf("serve fleet: %w", err)}
}

// server is what serves the API; nil where nobody asks for it.
func (s *fleetServer) server(cmd *cobra.Command) (*web.ServerOptions, error) {
	if s.address == "" {
		return nil, nil
	}
	server := &web.ServerOptions{Address: s.address, Certificate: s.certificate, Key: s.key, Log: runtime.NewLog(cmd.ErrOrStderr(), "fleet")}
	server.Version = version
	if s.tokenFile != "" {
		token, err := os.ReadFile(s.tokenFile)
		if err != nil {
			return nil, fmt.Errorf("read --serve-token-file: %w", err)
		}
		if server.Token = strings.TrimSpace(string(token)); server.Token == "" {
			return nil, fmt.Errorf("read --serve-token-file %s: it is empty", s.tokenFile)
		}
	}
	return server, nil
}

// runReal runs a fleet on the wall clock, a minute where --for does not say.
func (s *fleetServer) runReal(cmd *cobra.Command, o fleet.Options) error {
	flags := cmd.Flags()
	for _, name := range []string{"faults", "random-faults", "trace", "loss", "duplicate", "reorder", "corrupt", "sleep", "asymmetry", "speed"} {
		if flags.Changed(name) {
			return exitError{exitUsage, fmt.Errorf("--%s is of a simulated fleet: a real one has this machine's network", name)}
		}
	}
	if !flags.Changed("for") {
		o.For = time.Minute
	}
	if !flags.Changed("cascades") {
		o.Cascades = 5
	}
	if !flags.Changed("agents") {
		o.Agents = 300
	}
	if o.Cascades > 0 { // the first when all are measured, the last with time to see it through
		o.First = min(25*time.Second, o.For/2)
		o.Every = max((o.For-o.First)/time.Duration(o.Cascades), time.Second)
	}
	server, err := s.server(cmd)
	if err != nil {
		return exitError{exitUsage, err}
	}
	ctx, end := runtime.StopOnSignal(cmd.Context(), cmd.ErrOrStderr())
	defer end()
	err = fleet.Real(ctx, fleet.RealOptions{Options: o, Server: server, Ready: func(url string) { fmt.Fprintf(cmd.ErrOrStderr(), "operator: %s\n", url) }})
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fleet.ErrInput):
		return exitError{exitUsage, err}
	}
	return exitError{exitJob, fmt.Errorf("run fleet: %w", err)}
}
