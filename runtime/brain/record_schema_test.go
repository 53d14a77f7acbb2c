package brain

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"dancer/runtime/record"
	"dancer/storage/recording"
)

// TestRecordedMessagesFitTheirSchemas: what Foxglove is told of a channel is
// what comes in it, and nothing comes that it was not told of.
func TestRecordedMessagesFitTheirSchemas(t *testing.T) {
	path := filepath.Join(t.TempDir(), "simulated.mcap")
	simulate(t, 40*time.Second, path, "")
	r, done, err := recording.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	compiler := jsonschema.NewCompiler()
	schemas := make([]*jsonschema.Schema, len(r.Topics))
	properties := make([]map[string]any, len(r.Topics))
	for i := range r.Topics {
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(r.Topics[i].Schema))
		if err == nil {
			err = compiler.AddResource(r.Topics[i].Title, doc)
		}
		if err == nil {
			schemas[i], err = compiler.Compile(r.Topics[i].Title)
		}
		if err != nil {
			t.Fatalf("%s: %v", r.Topics[i].Name, err)
		}
		foxglove(t, r.Topics[i].Name, doc.(map[string]any))
		properties[i] = doc.(map[string]any)["properties"].(map[string]any)
	}
	seen := map[string]int{}
	err = r.NewReader().Each(func(m *recording.Message) error {
		topic := &r.Topics[m.Topic]
		if seen[topic.Name]++; topic.Name == record.TopicReading && seen[topic.Name] > 1000 {
			return nil // there are many, all alike
		}
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(m.Data))
		if err == nil {
			err = schemas[m.Topic].Validate(withoutNulls(doc))
		}
		if err != nil {
			t.Fatalf("%s: %s: %v", topic.Name, m.Data, err)
		}
		for name := range doc.(map[string]any) {
			raw := topic.Name == "/escalation" && name == "decision" // a message of its own; the schema is open
			if _, told := properties[m.Topic][name]; !told && !raw {
				t.Fatalf("%s: %s is not in its schema", topic.Name, name)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	// What did not happen in the simulation has the shape that it was declared with.
	bodies := append(recordedEvents(), record.Event{Kind: "gap", Body: record.Gap{}}, record.Event{Kind: "recorder", Body: record.Pulse{}})
	for _, e := range bodies {
		i := slices.IndexFunc(r.Topics, func(topic recording.Topic) bool { return topic.Name == "/"+e.Kind })
		if i < 0 {
			t.Fatalf("no channel for %s", e.Kind)
		}
		data, err := json.Marshal(e.Body)
		if err != nil {
			t.Fatal(err)
		}
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
		if err == nil {
			err = schemas[i].Validate(withoutNulls(doc))
		}
		if err != nil {
			t.Errorf("%s: %s: %v", e.Kind, data, err)
		}
	}
	for _, name := range []string{record.TopicReading, record.TopicTrace, record.TopicDecision, record.TopicQuestion, record.TopicRuling, record.TopicOutcome, "/reflex", "/latch", "/output", "/lease", "/mode", "/escalation"} {
		if seen[name] == 0 {
			t.Errorf("nothing was recorded in %s: %v", name, seen)
		}
	}
}

// withoutNulls leaves out empty lists as encoding/json writes them.
func withoutNulls(doc any) any {
	switch v := doc.(type) {
	case map[string]any:
		for name, x := range v {
			if x == nil {
				delete(v, name)
				continue
			}
			v[name] = withoutNulls(x)
		}
	case []any:
		for i := range v {
			v[i] = withoutNulls(v[i])
		}
	}
	return doc
}

// foxglove holds a schema against what Foxglove's own parser takes (studio,
// packages/mcap-support/src/parseJsonSchema.ts): it refuses a whole channel for
// one property without a type that it knows.
func foxglove(t *testing.T, path string, schema map[string]any) {
	t.Helper()
	properties, ok := schema["properties"].(map[string]any)
	if schema["type"] != "object" || !ok {
		t.Errorf("%s is no object with properties", path)
	}
	for name, p := range properties {
		p, below := p.(map[string]any), path+"."+name
		if p["type"] == "array" {
			p, below = p["items"].(map[string]any), below+"[]"
		}
		switch p["type"] {
		case "boolean", "string", "number", "integer":
		case "object":
			foxglove(t, below, p)
		default:
			t.Errorf("%s has the type %v", below, p["type"])
		}
	}
}
