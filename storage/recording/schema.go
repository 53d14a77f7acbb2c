package recording

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"time"
)

// Schema gives the JSON Schema of what encoding/json makes of a value of this
// type: a struct, whose exported fields become properties, and more properties
// where others are added. It keeps to what Foxglove reads (studio,
// packages/mcap-support/src/parseJsonSchema.ts): one type a property, every
// object with its properties, no list of lists. What does not fit is left out,
// and the schema is open: a message may say more. A list or an object that is
// empty may be null.
func Schema(title string, v any, more ...Property) []byte {
	s := schemaOf(reflect.TypeOf(v), nil)
	properties := s["properties"].(map[string]any)
	for _, p := range more {
		properties[p.Name] = map[string]any{"type": p.Type}
	}
	s["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	s["title"] = title
	b, err := json.Marshal(s)
	if err != nil {
		panic("recording: a schema is made of maps and strings: " + err.Error())
	}
	return b
}

// Property of a schema.
type Property struct{ Name, Type string }

var (
	timeType      = reflect.TypeFor[time.Time]()
	rawType       = reflect.TypeFor[json.RawMessage]()
	marshalerType = reflect.TypeFor[json.Marshaler]()
)

// schemaOf gives nil for a type that contains itself, encodes itself, or can be
// anything.
func schemaOf(t reflect.Type, within []reflect.Type) map[string]any {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case t == timeType:
		return map[string]any{"type": "string", "format": "date-time"}
	case t == rawType || t.Implements(marshalerType) || slices.Contains(within, t):
		return nil
	}
	within = append(within[:len(within):len(within)], t)
	switch t.Kind() {
	case reflect.Struct:
		properties := map[string]any{}
		addFields(t, properties, within)
		return map[string]any{"type": "object", "properties": properties}
	case reflect.Slice, reflect.Array:
		items := schemaOf(t.Elem(), within)
		if items == nil || items["type"] == "array" {
			return nil
		}
		return map[string]any{"type": "array", "items": items}
	case reflect.Map:
		s := map[string]any{"type": "object", "properties": map[string]any{}}
		if values := schemaOf(t.Elem(), within); values != nil {
			s["additionalProperties"] = values
		}
		return s
	}
	if name := scalar(t.Kind()); name != "" {
		return map[string]any{"type": name}
	}
	return nil
}

func scalar(k reflect.Kind) string {
	switch {
	case k == reflect.String:
		return "string"
	case k == reflect.Bool:
		return "boolean"
	case k >= reflect.Int && k <= reflect.Uintptr:
		return "integer"
	case k == reflect.Float32 || k == reflect.Float64:
		return "number"
	}
	return ""
}

// addFields adds the properties of a struct, those of embedded structs as its
// own.
func addFields(t reflect.Type, properties map[string]any, within []reflect.Type) {
	for f := range fieldsOf(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous && name == "" && f.Type.Kind() == reflect.Struct:
			addFields(f.Type, properties, within)
			continue
		case !f.IsExported() || name == "-":
			continue
		case name == "":
			name = f.Name
		}
		if s := schemaOf(f.Type, within); s != nil {
			properties[name] = s
		}
	}
}

func fieldsOf(t reflect.Type) func(yield func(reflect.StructField) bool) {
	return func(yield func(reflect.StructField) bool) {
		for i := range t.NumField() {
			if !yield(t.Field(i)) {
				return
			}
		}
	}
}
