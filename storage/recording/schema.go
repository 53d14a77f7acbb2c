package recording

import (
	"encoding/json"
	"reflect"
	"strings"
	"time"
)

// Schema gives the JSON Schema of what encoding/json makes of a value of this
// type: a struct, whose exported fields become properties. It is open: a message
// may say more, so that a newer program's recordings still fit.
func Schema(title string, v any) []byte {
	s := schemaOf(reflect.TypeOf(v), nil)
	s["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	s["title"] = title
	b, err := json.Marshal(s)
	if err != nil {
		panic("recording: a schema is made of maps and strings: " + err.Error())
	}
	return b
}

var (
	timeType      = reflect.TypeFor[time.Time]()
	rawType       = reflect.TypeFor[json.RawMessage]()
	marshalerType = reflect.TypeFor[json.Marshaler]()
)

// schemaOf leaves a type open that contains itself or encodes itself.
func schemaOf(t reflect.Type, within []reflect.Type) map[string]any {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case t == timeType:
		return map[string]any{"type": "string", "format": "date-time"}
	case t == rawType || t.Implements(marshalerType):
		return map[string]any{}
	}
	for _, outer := range within {
		if outer == t {
			return map[string]any{}
		}
	}
	within = append(within[:len(within):len(within)], t)
	switch t.Kind() {
	case reflect.Struct:
		properties := map[string]any{}
		addFields(t, properties, within)
		return map[string]any{"type": "object", "properties": properties}
	case reflect.Slice, reflect.Array:
		return map[string]any{"type": []string{"array", "null"}, "items": schemaOf(t.Elem(), within)}
	case reflect.Map:
		return map[string]any{"type": []string{"object", "null"}, "additionalProperties": schemaOf(t.Elem(), within)}
	}
	if name := scalar(t.Kind()); name != "" {
		return map[string]any{"type": name}
	}
	return map[string]any{}
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
		properties[name] = schemaOf(f.Type, within)
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
