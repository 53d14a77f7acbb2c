package config

import (
	"encoding/json"
	"fmt"
)

// SchemaNames are the files that have a JSON Schema.
func SchemaNames() []string { return []string{KindRobot, KindManual, KindConductor} }

// Schema gives the JSON Schema (2020-12) of a robot's, a manual's or a
// conductor's file. It is made of the tables that Load reads by; Load checks
// more (units, names, files).
func Schema(name string) ([]byte, error) {
	var spec *section
	switch name {
	case KindRobot:
		spec = &robotSection
	case KindManual:
		spec = &manualSection
	case KindConductor:
		spec = &conductorSection
	default:
		return nil, fmt.Errorf("give schema %q: choose from robot, manual, conductor", name)
	}
	root := objectSchema(spec)
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["title"] = "dancer " + name + " file"
	data, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write schema %s: %w", name, err)
	}
	return append(data, '\n'), nil
}

type object = map[string]any

func objectSchema(s *section) object {
	properties := object{}
	var required []string
	for i := range s.fields {
		f := &s.fields[i]
		p := fieldSchema(f)
		p["description"] = f.doc
		properties[f.name] = p
		if f.required {
			required = append(required, f.name)
		}
	}
	out := object{"type": "object", "description": s.doc, "properties": properties, "additionalProperties": false}
	if required != nil {
		out["required"] = required
	}
	return out
}

func mapOf(value object) object {
	return object{"type": "object", "propertyNames": object{"pattern": identifierPattern}, "additionalProperties": value}
}

func pair() object {
	return object{"type": "array", "items": object{"type": "number"}, "minItems": 2, "maxItems": 2}
}

const timePattern = `^([0-9]+(\.[0-9]*)?|\.[0-9]+) ?(ns|us|µs|ms|s|m|h)( ?([0-9]+(\.[0-9]*)?|\.[0-9]+) ?(ns|us|µs|ms|s|m|h))*$|^0$`

// fieldSchema is the schema of one key's value.
func fieldSchema(f *field) object {
	switch f.form {
	case formName:
		// A name that is written without quotes may be a number to YAML.
		return object{"type": []string{"string", "number"}, "pattern": namePattern}
	case formBool:
		return object{"type": "boolean"}
	case formNumber:
		return bounded(object{"type": "number"}, f)
	case formInteger:
		return bounded(object{"type": "integer"}, f)
	case formDuration:
		return object{"oneOf": []object{{"type": "string", "pattern": timePattern}, {"const": 0}}}
	case formFrequency:
		return object{"type": "string", "pattern": frequencyPattern.String()}
	case formRange:
		return pair()
	case formChoice:
		return choiceSchema(f.choices)
	case formSettings:
		return settingsSchema()
	case formSection:
		return objectSchema(f.section)
	case formList:
		return object{"type": "array", "minItems": minimumItems(f), "items": objectSchema(f.section)}
	case formMap:
		return mapOf(objectSchema(f.section))
	case formExpressions:
		return object{"type": "object", "additionalProperties": object{"type": "string", "minLength": 1}}
	case formRanges:
		return mapOf(pair())
	case formTexts:
		return object{"type": "array", "items": object{"type": []string{"string", "number"}}}
	case formJoin:
		return object{"oneOf": []object{{"const": "auto"}, {"type": "array", "items": object{"type": "string"}}}}
	case formText, formPath, formExpression:
	}
	return object{"type": []string{"string", "number"}, "minLength": 1}
}

func minimumItems(f *field) int {
	if f.required {
		return 1
	}
	return 0
}

func bounded(o object, f *field) object {
	if f.minimum != 0 || f.maximum != 0 {
		o["minimum"], o["maximum"] = f.minimum, f.maximum
	}
	return o
}

// choiceSchema allows a choice such as 0, 1, 2 as a number too: YAML reads it so.
func choiceSchema(choices []string) object {
	var all []any
	for _, c := range choices {
		all = append(all, c)
		var n json.Number
		if json.Unmarshal([]byte(c), &n) == nil && numberPattern.MatchString(c) {
			all = append(all, n)
		}
	}
	return object{"enum": all}
}

func settingsSchema() object {
	values := object{"type": "object", "minProperties": 1, "additionalProperties": object{"type": []string{"number", "boolean"}}}
	return object{"oneOf": []object{{"const": "safe"}, values}}
}
