package main

import (
	"encoding/json"
	"fmt"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is set by the build (-ldflags "-X main.version=...").
var version = "development"

func newVersion() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "version",
		Short: "print the version of this binary",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			facts := buildFacts()
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(facts)
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "dancer %s %s/%s %s\n", facts.Version, facts.System, facts.Architecture, facts.Go)
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// facts about the build, as `dancer version --json` prints them.
type facts struct {
	Version      string `json:"version"`
	System       string `json:"system"`
	Architecture string `json:"architecture"`
	Go           string `json:"go"`
}

func buildFacts() facts {
	f := facts{Version: version, System: buildSetting("GOOS"), Architecture: buildSetting("GOARCH")}
	if info, ok := debug.ReadBuildInfo(); ok {
		f.Go = info.GoVersion
	}
	return f
}

// buildSetting reads one setting of the build: GOOS and GOARCH are always there.
func buildSetting(key string) string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, s := range info.Settings {
		if s.Key == key {
			return s.Value
		}
	}
	return "unknown"
}
