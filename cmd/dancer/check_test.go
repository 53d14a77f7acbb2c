package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/spf13/cobra"

	"dancer/runtime/config"
)

// runCommand runs one sub-command and gives what it prints and its exit code.
func runCommand(t *testing.T, cmd *cobra.Command, args ...string) (out string, code int) {
	t.Helper()
	var b bytes.Buffer
	cmd.SetOut(&b)
	cmd.SetErr(&b)
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	cmd.SetArgs(args)
	err := cmd.Execute()
	var exit exitError
	switch {
	case err == nil:
		return b.String(), exitDone
	case errors.As(err, &exit):
		if exit.err != nil {
			b.WriteString(exit.err.Error() + "\n")
		}
		return b.String(), exit.code
	}
	return b.String() + err.Error() + "\n", exitUsage
}

func TestCheckCommand(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"robot.yaml": "robot: bot\nboard: sim\nmanual: manual.yaml\nsignals: {range: {unit: m, range: [0, 8]}}\noutputs: {drive: {safe: 0}}\n",
		"manual.yaml": "values: [{name: human_safety}]\nimpact: {human_safety: \"10\"}\n" +
			"actions: [{name: halt, set: safe, fallback: true}]\n",
		"conductor.yaml": "name: lead\nlisten: 0.0.0.0:8420\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	path := func(name string) string { return filepath.Join(dir, name) }
	for _, c := range []struct {
		files []string
		code  int
		want  string
	}{
		{[]string{"robot.yaml", "manual.yaml"}, 0, path("robot.yaml") + ": 2 of 2 claims proved\n" + path("robot.yaml") + ": robot: sound\n" +
			path("manual.yaml") + ": 2 of 2 claims proved\n" + path("manual.yaml") + ": manual: sound\n"},
		{[]string{"conductor.yaml"}, 1, path("conductor.yaml") + ":2:9: listen 0.0.0.0:8420 opens the HTTP server to the network without token_file, certificate, key" +
			" (add token_file, certificate, key, or use 127.0.0.1:8420)\n" + path("conductor.yaml") + ": conductor: 1 fault\n"},
		{[]string{"conductor.yaml", "none.yaml"}, 2, ""},
		{[]string{"none.yaml"}, 2, path("none.yaml") + ": file " + path("none.yaml") + " does not exist (check the path)\n" + path("none.yaml") + ": unknown: 1 fault\n"},
		{nil, 2, ""},
	} {
		var args []string
		for _, f := range c.files {
			args = append(args, path(f))
		}
		out, code := runCommand(t, newCheck(), args...)
		if code != c.code || c.want != "" && out != c.want {
			t.Errorf("check %v: exit code %d, want %d:\n%swant:\n%s", c.files, code, c.code, out, c.want)
		}
	}
}

func TestCheckCommandJSON(t *testing.T) {
	out, code := runCommand(t, newCheck(), "--json", "--board", "sim", "../../examples/museum/robot-sim.yaml", "no-such.yaml")
	var result struct{ Files []checkedFile }
	if err := json.Unmarshal([]byte(out), &result); err != nil || code != 2 || len(result.Files) != 2 {
		t.Fatalf("exit code %d, %v: %s", code, err, out)
	}
	sound, lost := result.Files[0], result.Files[1]
	if !sound.Sound || sound.Kind != config.KindRobot || sound.Problems == nil || len(sound.Problems) != 0 {
		t.Errorf("example: %+v", sound)
	}
	if lost.Sound || len(lost.Problems) != 1 || !lost.Problems[0].Unread {
		t.Errorf("no such file: %+v", lost)
	}
}

func TestSchemaCommand(t *testing.T) {
	for _, name := range config.SchemaNames() {
		out, code := runCommand(t, newSchema(), name)
		if code != 0 || !json.Valid([]byte(out)) {
			t.Errorf("schema %s: exit code %d, %d bytes", name, code, len(out))
		}
	}
	if _, code := runCommand(t, newSchema(), "fleet"); code != exitUsage {
		t.Errorf("schema of nothing: exit code %d", code)
	}
}
