package config

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// keys is one mapping of a file, read by the table of its section: unknown,
// double and missing keys are reported already.
type keys struct {
	r      *reader
	at     *node
	spec   *section
	what   string // for messages, e.g. signal range
	values map[string]*node
	names  map[string]*node
	broken bool // not a mapping at all, and reported
}

// section reads a mapping by its table. It always gives a usable result.
func (r *reader) section(n *node, spec *section, what string) keys {
	k := keys{r: r, at: n, spec: spec, what: what, values: map[string]*node{}, names: map[string]*node{}}
	if n == nil || n.bad {
		k.broken = n != nil
		return k
	}
	if n.kind != kindMapping && n.kind != kindNull {
		k.broken = true
		r.faultf(n, "write {key: value, ...} or one key a line; keys: "+strings.Join(spec.names(), ", "), "%s is not a mapping", what)
		return k
	}
	for _, e := range n.entries {
		k.add(e)
	}
	for _, f := range spec.fields {
		if f.required && k.names[f.name] == nil {
			r.faultf(n, fmt.Sprintf("add %s: %s", f.name, f.doc), "%s has no %s", what, f.name)
		}
	}
	return k
}

// item reads an entry of a list by its table. Messages call it by its name.
func (r *reader) item(n *node, spec *section) keys {
	what := "a " + spec.title
	if strings.ContainsAny(spec.title[:1], "aeiou") {
		what = "an " + spec.title
	}
	for _, e := range n.entries {
		if e.key.text == "name" && e.value.kind == kindScalar && e.value.text != "" {
			what = spec.title + " " + e.value.text
		}
	}
	return r.section(n, spec, what)
}

func (k *keys) add(e entry) {
	name := e.key.text
	if k.spec.field(name) == nil {
		k.r.faultf(e.key, suggest(name, k.spec.names(), "known keys"), "unknown key %s in %s", name, k.what)
		return
	}
	if first := k.names[name]; first != nil {
		k.r.faultf(e.key, fmt.Sprintf("it is set in line %d already: remove one", first.line), "duplicate key %s in %s", name, k.what)
		return
	}
	k.names[name] = e.key
	if e.value.kind == kindNull && !e.value.bad {
		k.r.faultf(e.key, k.spec.field(name).doc, "%s of %s has no value", name, k.what)
		e.value.bad = true
	}
	k.values[name] = e.value
}

// has says whether a key is there, be its value right or wrong.
func (k keys) has(name string) bool { return k.names[name] != nil }

// where is the place of a key's value, or of the whole section.
func (k keys) where(name string) *node {
	if v := k.values[name]; v != nil {
		return v
	}
	return k.at
}

// node gives the value of a key, nil when it is absent or reported already.
func (k keys) node(name string) *node {
	v := k.values[name]
	if v == nil || v.bad {
		return nil
	}
	return v
}

// scalar gives the text of a key that must be one word or number.
func (k keys) scalar(name string) (*node, bool) {
	n := k.node(name)
	if n == nil {
		return nil, false
	}
	if n.kind != kindScalar {
		k.r.faultf(n, k.spec.field(name).doc, "%s of %s is not a single value", name, k.what)
		return nil, false
	}
	return n, true
}

func (k keys) fault(name, hint, format string, args ...any) {
	k.r.faultf(k.where(name), hint, format, args...)
}

// text gives a key's text, or otherwise.
func (k keys) text(name, otherwise string) string {
	n, ok := k.scalar(name)
	if !ok {
		return otherwise
	}
	if strings.TrimSpace(n.text) == "" {
		k.fault(name, k.spec.field(name).doc, "%s of %s is empty", name, k.what)
		return otherwise
	}
	return n.text
}

// namePattern is what isName checks, for the schema. As a regular expression its
// counted part is compiled 62 times over, at every start of the program.
const namePattern = `^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$`

func isName(text string) bool {
	return text != "" && len(text) <= 63 && isAlphanumeric(text[0]) &&
		strings.Trim(text, alphanumeric+"_.-") == ""
}

const alphanumeric = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

func isAlphanumeric(c byte) bool { return strings.IndexByte(alphanumeric, c) >= 0 }

// name gives a key's text where it becomes part of a topic or a file name.
func (k keys) name(name, otherwise string) string {
	text := k.text(name, otherwise)
	if text != otherwise && !isName(text) {
		k.fault(name, "use letters, digits, dots, dashes and underscores, up to 63, and start with a letter or digit", "%s %q cannot be used", name, text)
		return otherwise
	}
	return text
}

func (k keys) boolean(name string) bool {
	n, ok := k.scalar(name)
	if !ok {
		return false
	}
	switch {
	case n.quoted:
	case n.text == "true":
		return true
	case n.text == "false":
		return false
	}
	k.fault(name, "write true or false", "%s of %s is %q, not true or false", name, k.what, n.text)
	return false
}

// choice gives one of the words that the table allows.
func (k keys) choice(name, otherwise string) string {
	text := k.text(name, otherwise)
	if text == otherwise {
		return text
	}
	choices := k.spec.field(name).choices
	for _, c := range choices {
		if c == text {
			return text
		}
	}
	hint := "choose from: " + strings.Join(choices, ", ")
	if c := nearest(text, choices); c != "" {
		hint = fmt.Sprintf("did you mean %s?", c)
	}
	k.fault(name, hint, "%s of %s is %q", name, k.what, text)
	return otherwise
}

// number gives a key's number inside the bounds of the table.
func (k keys) number(name string, otherwise float64) float64 {
	n, ok := k.scalar(name)
	if !ok {
		return otherwise
	}
	v, ok := k.r.number(n, name+" of "+k.what)
	if !ok || !k.inside(name, v, formatNumber) {
		return otherwise
	}
	return v
}

func (k keys) integer(name string, otherwise int) int {
	v := k.number(name, float64(otherwise))
	if v != math.Trunc(v) || math.Abs(v) > 1<<53 {
		k.fault(name, "write a whole number", "%s of %s is %s", name, k.what, formatNumber(v))
		return otherwise
	}
	return int(v)
}

// inside reports a value out of the table's bounds.
func (k keys) inside(name string, v float64, show func(float64) string) bool {
	f := k.spec.field(name)
	if f.minimum == 0 && f.maximum == 0 || v >= f.minimum && v <= f.maximum {
		return true
	}
	k.fault(name, fmt.Sprintf("give a value from %s to %s", show(f.minimum), show(f.maximum)), "%s of %s is %s, out of range", name, k.what, show(v))
	return false
}

func formatNumber(v float64) string {
	if math.Abs(v) >= 1e-4 && math.Abs(v) < 1e12 {
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}

func formatSeconds(v float64) string {
	s := time.Duration(math.Round(v * 1e9)).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func formatHertz(v float64) string {
	if v >= 1000 {
		return formatNumber(v/1000) + "kHz"
	}
	return formatNumber(v) + "Hz"
}

var numberPattern = regexp.MustCompile(`^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?$`)

// number reads a bare number.
func (r *reader) number(n *node, what string) (float64, bool) {
	if n.bad {
		return 0, false
	}
	if n.kind != kindScalar {
		r.faultf(n, "write one number", "%s is not a number", what)
		return 0, false
	}
	if n.quoted && numberPattern.MatchString(n.text) {
		r.faultf(n, "remove the quotes", "%s is text, not a number", what)
		return 0, false
	}
	v, err := strconv.ParseFloat(n.text, 64)
	if !numberPattern.MatchString(n.text) || err != nil || math.IsInf(v, 0) {
		r.faultf(n, "write a plain number such as 0.3, without a unit", "%s is %q, not a number", what, n.text)
		return 0, false
	}
	return v, true
}

// duration gives a key's time inside the bounds of the table.
func (k keys) duration(name string, otherwise time.Duration) time.Duration {
	n, ok := k.scalar(name)
	if !ok {
		return otherwise
	}
	d, err := time.ParseDuration(strings.ReplaceAll(n.text, " ", ""))
	if err != nil {
		hint := "write a number and a unit, such as 300ms, 2s or 5m"
		if numberPattern.MatchString(n.text) {
			hint = fmt.Sprintf("it has no unit: write %sms or %ss", n.text, n.text)
		}
		k.fault(name, hint, "%s of %s is %q, not a time", name, k.what, n.text)
		return otherwise
	}
	if d < 0 || !k.inside(name, d.Seconds(), formatSeconds) {
		if d < 0 {
			k.fault(name, "write a time of 0s or more", "%s of %s is %s, out of range", name, k.what, d)
		}
		return otherwise
	}
	return d
}

var frequencyPattern = regexp.MustCompile(`^([0-9.]+)\s*(Hz|kHz|MHz)$`)

// frequency gives a key's frequency in Hz inside the bounds of the table.
func (k keys) frequency(name string) float64 {
	n, ok := k.scalar(name)
	if !ok {
		return 0
	}
	m := frequencyPattern.FindStringSubmatch(n.text)
	if m == nil || !numberPattern.MatchString(m[1]) {
		k.fault(name, "write a number and a unit, such as 50Hz or 1kHz", "%s of %s is %q, not a frequency", name, k.what, n.text)
		return 0
	}
	v, _ := strconv.ParseFloat(m[1], 64)
	v *= map[string]float64{"Hz": 1, "kHz": 1e3, "MHz": 1e6}[m[2]]
	if !k.inside(name, v, formatHertz) {
		return 0
	}
	return v
}

// limits gives a key's [minimum, maximum].
func (k keys) limits(name string) (low, high float64, ok bool) {
	n := k.node(name)
	if n == nil {
		return 0, 0, false
	}
	return k.r.limits(n, name+" of "+k.what)
}

func (r *reader) limits(n *node, what string) (low, high float64, ok bool) {
	if n.bad {
		return 0, 0, false
	}
	if n.kind != kindSequence || len(n.items) != 2 {
		r.faultf(n, "write [minimum, maximum]", "%s is not a pair of numbers", what)
		return 0, 0, false
	}
	low, okLow := r.number(n.items[0], what)
	high, okHigh := r.number(n.items[1], what)
	if !okLow || !okHigh {
		return 0, 0, false
	}
	if low > high {
		r.faultf(n, fmt.Sprintf("write [%s, %s]", formatNumber(high), formatNumber(low)), "%s goes from %s down to %s", what, formatNumber(low), formatNumber(high))
		return 0, 0, false
	}
	return low, high, true
}

// texts gives a list of words.
func (k keys) texts(name string) []string {
	n := k.node(name)
	if n == nil {
		return nil
	}
	if n.kind != kindSequence {
		k.fault(name, "write [a, b, c]", "%s of %s is not a list", name, k.what)
		return nil
	}
	var out []string
	for _, item := range n.items {
		text := item.address()
		if text == "" {
			k.r.faultf(item, "write one word", "entry of %s of %s is not a text", name, k.what)
			continue
		}
		out = append(out, text)
	}
	return out
}

// empty says whether a mapping or a list has nothing in it.
func (k keys) empty(name string) bool {
	n := k.node(name)
	return n != nil && n.kind != kindScalar && len(n.entries) == 0 && len(n.items) == 0
}

// address gives the text of a list entry. The parser reads host:port as a
// mapping where the list stands in a flow mapping: {join: [10.0.0.7:7946]}.
func (n *node) address() string {
	if n.kind == kindMapping && len(n.entries) == 1 && n.entries[0].value.kind == kindScalar {
		e := n.entries[0]
		return e.key.text + ":" + e.value.text
	}
	if n.kind != kindScalar || n.bad {
		return ""
	}
	return n.text
}

// list gives the items of a list.
func (k keys) list(name string, most int) []*node {
	n := k.node(name)
	if n == nil {
		return nil
	}
	if n.kind != kindSequence {
		k.fault(name, "start every entry with a dash", "%s is not a list", name)
		return nil
	}
	if len(n.items) > most {
		k.fault(name, fmt.Sprintf("at most %d are possible", most), "%s has %d entries", name, len(n.items))
		return n.items[:most]
	}
	return n.items
}

// table gives the entries of a {name: value} mapping, without doubles.
func (k keys) table(name string, most int) []entry {
	n := k.node(name)
	if n == nil {
		return nil
	}
	if n.kind != kindMapping {
		k.fault(name, "write one name: value a line", "%s is not a mapping", name)
		return nil
	}
	if len(n.entries) > most {
		k.fault(name, fmt.Sprintf("at most %d are possible", most), "%s has %d entries", name, len(n.entries))
		return nil
	}
	return k.r.distinct(n.entries, name)
}

// distinct drops and reports double keys.
func (r *reader) distinct(entries []entry, what string) []entry {
	seen := map[string]int{}
	var out []entry
	for _, e := range entries {
		if line := seen[e.key.text]; line > 0 {
			r.faultf(e.key, fmt.Sprintf("it is set in line %d already: remove one", line), "duplicate key %s in %s", e.key.text, what)
			continue
		}
		seen[e.key.text] = e.key.line
		out = append(out, e)
	}
	return out
}
