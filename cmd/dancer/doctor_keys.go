package main

import (
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"dancer/runtime/doctor"
)

// newDoctorKeys makes what a robot or a conductor needs beyond loopback.
func newDoctorKeys() *cobra.Command {
	var hosts []string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "keys FOLDER",
		Short: "make a token, a broker's password, a certificate and a cell's gossip key",
		Long: "keys makes what guards a robot or a conductor beyond loopback: a bearer token, a broker's password, a\n" +
			"certificate that signs itself, and a cell's gossip key. Files that are there are never overwritten.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(hosts) == 0 {
				if name, err := os.Hostname(); err == nil {
					hosts = []string{name}
				}
			}
			keys, err := doctor.MakeKeys(args[0], hosts, time.Now())
			if err != nil {
				return exitError{exitJob, err}
			}
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), keys)
			}
			return printKeys(cmd, keys)
		},
	}
	cmd.Flags().StringSliceVar(&hosts, "host", nil, "names and addresses by which others reach this machine (default: its host name)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "write one JSON object")
	return cmd
}

// printKeys prints lines for the files that name the keys.
func printKeys(cmd *cobra.Command, k doctor.Keys) error {
	_, err := fmt.Fprintf(cmd.OutOrStdout(), `# conductor.yaml, and robot.yaml where its page is opened
token_file: %s
certificate: %s
key: %s
# conductor.yaml, where its broker is opened
username: robot
password_file: %s
# robot.yaml of every robot, each with a copy of the password
conductor: {broker: "mqtts://%s:8883", username: robot, password_file: %s, fingerprint: "%s"}
# every member of the cell, each with a copy of the key
mesh: {key_file: %s}
# The certificate is for %v, until %s.
`, k.Token, k.Certificate, k.Key, k.Password, k.Hosts[0], k.Password, k.Fingerprint, k.Gossip, k.Hosts, k.Until)
	return err
}
