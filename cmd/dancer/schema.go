package main

import (
	"strings"

	"github.com/spf13/cobra"

	"dancer/runtime/config"
)

// newSchema prints the JSON Schema of a file, for editors.
func newSchema() *cobra.Command {
	return &cobra.Command{
		Use:       "schema " + strings.Join(config.SchemaNames(), "|"),
		Short:     "print the JSON Schema of a robot's, a manual's or a conductor's file",
		Args:      cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs),
		ValidArgs: config.SchemaNames(),
		RunE: func(cmd *cobra.Command, args []string) error {
			data, err := config.Schema(args[0])
			if err != nil {
				return exitError{exitUsage, err}
			}
			_, err = cmd.OutOrStdout().Write(data)
			return err
		},
	}
}
