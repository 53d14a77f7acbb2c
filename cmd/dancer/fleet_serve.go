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
}

func (s *fleetServer) flags(f *pflag.FlagSet) {
	f.StringVar(&s.address, "serve", "", "keep the fleet running by the wall clock and serve the operator's API at this address, as 127.0.0.1:8420")
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
	server := web.ServerOptions{Address: s.address, Certificate: s.certificate, Key: s.key, Log: runtime.NewLog(cmd.ErrOrStderr(), "fleet")}
	server.Version = version
	if s.tokenFile != "" {
		token, err := os.ReadFile(s.tokenFile)
		if err != nil {
			return exitError{exitUsage, fmt.Errorf("read --serve-token-file: %w", err)}
		}
		if server.Token = strings.TrimSpace(string(token)); server.Token == "" {
			return exitError{exitUsage, fmt.Errorf("read --serve-token-file %s: it is empty", s.tokenFile)}
		}
	}
	ctx, end := runtime.StopOnSignal(cmd.Context(), cmd.ErrOrStderr())
	defer end()
	err := fleet.Serve(ctx, fleet.ServeOptions{Options: o, Speed: s.speed, Server: server, Ready: func(url string) {
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
