package config

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

func compileSchema(t *testing.T, name string) *jsonschema.Schema {
	t.Helper()
	data, err := Schema(name)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	if err := c.AddResource(name+".json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile(name + ".json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// asJSON gives a YAML text in the shape that the schema library takes.
func asJSON(t *testing.T, text []byte) any {
	t.Helper()
	data, err := yaml.YAMLToJSON(text)
	if err != nil {
		t.Fatal(err)
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestExamplesFitTheirSchema(t *testing.T) {
	robot, manual := compileSchema(t, KindRobot), compileSchema(t, KindManual)
	for _, file := range exampleFiles(t) {
		for schema, name := range map[*jsonschema.Schema]string{robot: file, manual: filepath.Join(filepath.Dir(file), "manual.yaml")} {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if err := schema.Validate(asJSON(t, text)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	if err := compileSchema(t, KindConductor).Validate(asJSON(t, []byte("name: lead\nmesh: {join: [\"127.0.0.1:7946\"]}\n"))); err != nil {
		t.Error(err)
	}
}

// TestSchemaRefuses holds that the schema finds what it can of what Load finds.
func TestSchemaRefuses(t *testing.T) {
	robot, manual := compileSchema(t, KindRobot), compileSchema(t, KindManual)
	for _, c := range []struct {
		schema         *jsonschema.Schema
		text, old, new string
	}{
		{robot, testRobot, "robot: bot", "robot: my/bot"},
		{robot, testRobot, "robot: bot", "robott: bot"},
		{robot, testRobot, "framing: csv", "framing: xml"},
		{robot, testRobot, "framing: csv", "framing: csv, baud: 100"},
		{robot, testRobot, "range: [0, 8]", "range: [0, 8, 9]"},
		{robot, testRobot, "pull: up", "debounce: 5"},
		{robot, testRobot, ", safe: 0", ""},
		{robot, testRobot, ", safe: 0", ", safe: 0, rate: fast"},
		{robot, testRobot, ", safe: 0", ", safe: 0, read_back: range"},
		{robot, testRobot, ", safe: 0", ", safe: 0, read_back: {within: 1s}"},
		{robot, testRobot, ", safe: 0", ", safe: 0, read_back: {signal: range, tolerances: 1}"},
		{robot, testRobot, "range:", "9range:"},
		{manual, testManual, "floor: 5", "floor: 12"},
		{manual, testManual, "set: safe", "set: all"},
		{manual, testManual, "set: safe", "set: {}"},
		{manual, testManual, "fallback: true", "fallback: \"yes\""},
	} {
		if !strings.Contains(c.text, c.old) {
			t.Fatalf("%q is not in the text", c.old)
		}
		if err := c.schema.Validate(asJSON(t, []byte(strings.Replace(c.text, c.old, c.new, 1)))); err == nil {
			t.Errorf("%s passes", c.new)
		}
	}
}

func TestSchemaUnknown(t *testing.T) {
	if _, err := Schema("fleet"); err == nil || err.Error() != `give schema "fleet": choose from robot, manual, conductor` {
		t.Errorf("got %v", err)
	}
}
