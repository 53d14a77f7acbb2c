package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"dancer/runtime"
	"dancer/runtime/conductor"
	"dancer/runtime/config"
)

// conductorFlags override what the file says.
type conductorFlags struct {
	scope, name, cell, listen, broker, brokerListen, data string
}

func newConductor() *cobra.Command {
	var o conductorFlags
	cmd := &cobra.Command{
		Use:   "conductor [CONDUCTOR.yaml]",
		Short: "conduct the robots of a cell: broker, dashboard, rulings",
		Long: "Runs the conductor of a cell: an MQTT broker of its own (or another one by --broker URL), the register of\n" +
			"robots and their questions, and the dashboard. Without a file everything is on loopback: the dashboard\n" +
			"at http://127.0.0.1:8420, the broker at mqtt://127.0.0.1:1883.",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			settings, err := conductorSettings(cmd, args, o)
			if err != nil {
				return exitError{exitUsage, err}
			}
			data := settings.Data
			if data == "" {
				if data, err = conductorFolder(settings.Name); err != nil {
					return exitError{exitJob, err}
				}
			}
			ctx, end := runtime.StopOnSignal(cmd.Context(), cmd.ErrOrStderr())
			defer end()
			err = conductor.Run(ctx, conductor.Config{
				Settings: settings, Data: data, Version: version, Log: runtime.NewLog(cmd.ErrOrStderr(), "conductor"),
				Ready: func(a conductor.Addresses) {
					fmt.Fprintf(cmd.OutOrStdout(), "dashboard: %s\nbroker: %s\n", a.Dashboard, a.Broker)
				},
			})
			if err != nil {
				return exitError{exitJob, err}
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.scope, "scope", "", "cell (region and global are not available in this version)")
	f.StringVar(&o.name, "name", "", "name of this conductor (default: conductor)")
	f.StringVar(&o.cell, "cell", "", "cell that it conducts (default: default)")
	f.StringVar(&o.listen, "listen", "", "address of the dashboard (default: 127.0.0.1:8420)")
	f.StringVar(&o.broker, "broker", "", "MQTT broker by URL, or embedded (default: embedded)")
	f.StringVar(&o.brokerListen, "broker-listen", "", "address of the embedded broker (default: 127.0.0.1:1883)")
	f.StringVar(&o.data, "data", "", "folder for what must survive (default: /var/lib/dancer/conductor as root, else ~/.local/state/dancer/conductor; with -NAME if it has one)")
	return cmd
}

// conductorSettings reads the file, prints its warnings, and puts the flags over
// it.
func conductorSettings(cmd *cobra.Command, args []string, o conductorFlags) (*config.Conductor, error) {
	settings := config.DefaultConductor()
	if len(args) == 1 {
		loaded, problems := config.LoadConductor(args[0])
		if err := problems.Err(); err != nil {
			return nil, err
		}
		for _, p := range problems {
			fmt.Fprintln(cmd.ErrOrStderr(), p.Error())
		}
		settings = loaded
	}
	over := func(into *string, flag string) {
		if flag != "" {
			*into = flag
		}
	}
	over(&settings.Scope, o.scope)
	over(&settings.Name, o.name)
	over(&settings.Cell, o.cell)
	over(&settings.Listen, o.listen)
	over(&settings.Broker, o.broker)
	over(&settings.BrokerListen, o.brokerListen)
	over(&settings.Data, o.data)
	return settings, nil
}

// conductorFolder is the default data folder: conductor, or conductor-NAME.
func conductorFolder(name string) (string, error) {
	if name != "conductor" {
		name = "conductor-" + name
	}
	return runtime.DataFolder(name)
}
