package config

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"strings"

	"dancer/dancer"
	"dancer/dancer/expr"
	"dancer/hal"
	"dancer/reflex"
	"dancer/reflex/program"
)

// manualReader compiles one manual for one robot.
type manualReader struct {
	*reader
	w         *world
	words     words // signals and outputs
	out       *dancer.Manual
	forecasts []forecast // for warnStill
}

// readManual reads a Safety Manual. The result may be used only if nothing was
// reported.
//
// The slots of outputs lie behind those of the derived signals, whose number is
// known only when every expression has been compiled. So a manual that looks back
// in time is compiled twice.
func readManual(path string, data []byte, w *world) (*dancer.Manual, *reader) {
	m := compileManual(path, data, w, nil)
	if derived := m.derived(); len(derived) > 0 {
		m = compileManual(path, data, w, derived)
	}
	m.finishWindows()
	return m.out, m.reader
}

// compileManual compiles a manual, for so many derived signals.
func compileManual(path string, data []byte, w *world, derived []hal.Signal) *manualReader {
	sum := sha256.Sum256(data)
	m := &manualReader{reader: newReader(path), w: w, out: &dancer.Manual{
		Hash:    "sha256:" + hex.EncodeToString(sum[:]),
		Signals: slices.Concat(w.signals, derived), Outputs: w.outputs, Fallback: -1,
	}}
	m.words = words{scope: worldScope(w, len(derived)), world: w, windows: &expr.Windows{First: len(w.signals)}}
	root := m.parse(data)
	if root == nil {
		return m
	}
	m.read(root)
	return m
}

func (m *manualReader) read(root *node) {
	k := m.section(root, &manualSection, "the manual")
	m.values(k)
	m.reflexes(k)
	m.readBacks(k)
	m.model(k)
	m.impact(k)
	m.actions(k)
	m.baseline(k)
	m.escalation(k)
}

// worldScope is what every expression may read: signals and outputs. So many
// derived signals lie between them.
func worldScope(w *world, derived int) expr.Scope {
	scope := expr.Scope{}
	for i, s := range w.signals {
		scope[s.Name] = expr.Symbol{Slot: i, Unit: unitOf(s.Unit), Boolean: s.Boolean}
	}
	for i, o := range w.outputs {
		scope[o.Name] = expr.Symbol{Slot: len(w.signals) + derived + i, Unit: unitOf(o.Unit), Commanded: true}
	}
	return scope
}

// unitOf gives a unit that was checked when its signal was read.
func unitOf(text string) expr.Unit {
	if text == "" {
		return expr.Unit{}
	}
	u, _ := expr.ParseUnit(text)
	return u
}

func (m *manualReader) values(k keys) {
	seen := map[string]bool{}
	for _, item := range k.list("values", maxValues) {
		v := m.item(item, &valueSection)
		name := v.name("name", "")
		if name == "" {
			continue
		}
		if seen[name] {
			v.fault("name", "give every value its own name", "value %s is there twice", name)
			continue
		}
		seen[name] = true
		m.out.Values = append(m.out.Values, m.value(v, name))
	}
	if k.empty("values") {
		k.fault("values", "name at least one, such as {name: human_safety, floor: 5}", "values is empty")
	}
}

func (m *manualReader) value(v keys, name string) dancer.Value {
	out := dancer.Value{Name: name, HasFloor: v.has("floor")}
	if !out.HasFloor {
		if v.has("enough") {
			v.fault("enough", "give it a floor, or remove enough", "value %s has enough but no floor", name)
		}
		return out
	}
	out.Floor = v.number("floor", 0)
	out.Enough = v.number("enough", math.Min(out.Floor+defaultMargin, 10))
	if out.Enough < out.Floor {
		v.fault("enough", fmt.Sprintf("give a value from %s to 10", formatNumber(out.Floor)), "enough of value %s is %s, under its floor %s", name, formatNumber(out.Enough), formatNumber(out.Floor))
	}
	return out
}

func stopOf(text string) reflex.StopCategory {
	switch text {
	case "0":
		return reflex.Stop0
	case "1":
		return reflex.Stop1
	}
	return reflex.Stop2
}

func (m *manualReader) reflexes(k keys) {
	seen := map[string]bool{}
	for _, item := range k.list("reflexes", maxRules-len(m.w.follows)) {
		x := m.item(item, &reflexSection)
		name := x.name("name", "")
		if name != "" {
			if seen[name] {
				x.fault("name", "give every reflex its own name", "reflex %s is there twice", name)
			}
			seen[name] = true
		}
		rule := m.reflex(x, name)
		m.warnFlicker(x, &rule)
		m.warnConfirm(x, &rule)
		m.checkRamp(x, &rule)
		m.out.Rules = append(m.out.Rules, rule)
	}
}

func (m *manualReader) reflex(x keys, name string) reflex.Rule {
	want := expr.Want{Boolean: true}
	return reflex.Rule{
		Name:     name,
		When:     m.expression(x.node("when"), "when", x.what, m.words, want),
		Until:    m.expression(x.node("until"), "until", x.what, m.words, want),
		Set:      x.settings("set", m.w),
		Latch:    x.choice("latch", "") == "operator",
		Stop:     stopOf(x.choice("stop", "2")),
		Debounce: x.duration("debounce", 0),
		Confirm:  x.integer("confirm", 1),
		Ramp:     x.duration("ramp", 0),
	}
}

// checkRamp reports a ramp that could do nothing.
func (m *manualReader) checkRamp(x keys, rule *reflex.Rule) {
	switch {
	case rule.Ramp == 0:
	case rule.Stop != reflex.Stop1:
		x.fault("ramp", "add stop: 1, or remove ramp", "%s has a ramp, which is for stop category 1 alone", x.what)
	case !slices.ContainsFunc(rule.Set, func(s reflex.Setting) bool { return !m.w.outputs[s.Output].Switch }):
		m.warn(x.where("ramp"), fmt.Sprintf("%s has a ramp, and sets only outputs that are on or off", x.what), "remove it: they take their values at once")
	}
}

// warnFlicker warns of a rule that reads what it sets: its own action makes it
// false, so that it ends at once, and the next command fires it again.
func (m *manualReader) warnFlicker(x keys, rule *reflex.Rule) {
	if rule.When == nil || rule.Latch || x.has("until") {
		return
	}
	for _, s := range rule.Set {
		if slices.Contains(rule.When.Reads(), m.out.Layout().Output(s.Output)) {
			m.warn(x.where("when"), fmt.Sprintf("%s reads %s and sets it, so it ends as soon as it acts", x.what, m.w.outputs[s.Output].Name), `add until: "...", the condition that ends it`)
			return
		}
	}
}

// warnConfirm warns of a rule that waits for several readings of what has one for
// each change: a GPIO line that stays pressed is read once, so the rule can wait
// for ever. A signal with stale_after ends the wait when its readings stop.
func (m *manualReader) warnConfirm(x keys, rule *reflex.Rule) {
	if rule.When == nil || rule.Confirm < 2 || slices.ContainsFunc(rule.When.Reads(), m.repeats) {
		return
	}
	m.warn(x.where("confirm"), fmt.Sprintf("%s waits for %d readings in a row, and what it reads has one for each change, so it can wait for ever", x.what, rule.Confirm),
		"write debounce: 20ms in its place: the time that when must hold")
}

// repeats says whether a slot has readings, or looks, though nothing changes: GPIO
// lines and outputs have not, nor has what looks back at them alone and moves with
// them.
func (m *manualReader) repeats(slot int) bool {
	own, windows := len(m.w.signals), m.words.windows.List()
	switch {
	case slot < own:
		return m.w.signals[slot].StaleAfter > 0
	case slot >= own+len(windows):
		return false
	}
	w := &windows[slot-own]
	return w.Function == "mean" || w.Function == "since" || w.Function == "lowest" || w.Function == "highest" || slices.ContainsFunc(w.Argument.Reads(), m.repeats)
}

func (m *manualReader) impact(k keys) {
	m.out.Impact = make([]*program.Program, len(m.out.Values))
	names := make([]string, len(m.out.Values))
	found := make([]bool, len(m.out.Values))
	for i, v := range m.out.Values {
		names[i] = v.Name
	}
	for _, e := range k.table("impact", 4*maxValues) {
		i := indexOf(names, e.key.text)
		if i < 0 {
			m.faultf(e.key, suggest(e.key.text, names, "values"), "impact of %s, which is not a value", e.key.text)
			continue
		}
		found[i] = true
		m.out.Impact[i] = m.expression(e.value, e.key.text, "impact", m.words, expr.Want{})
		m.forecasts = append(m.forecasts, forecast{e.value, "impact of " + e.key.text, m.out.Impact[i]})
	}
	if k.node("impact") == nil {
		return
	}
	for i, name := range names {
		if !found[i] {
			k.fault("impact", fmt.Sprintf("add %s: \"10 - ...\", its index from 0 (ruin) to 10 (no harm)", name), "impact has no expression for value %s", name)
		}
	}
}

func indexOf(names []string, name string) int {
	for i, n := range names {
		if n == name {
			return i
		}
	}
	return -1
}

func (m *manualReader) actions(k keys) {
	items := k.list("actions", maxActions)
	lines := map[string]int{}
	for _, item := range items {
		a := m.item(item, &actionSection)
		name := a.name("name", "")
		if name != "" {
			m.actionName(a, name, lines)
		}
		action := m.action(a, name)
		if action.Fallback {
			m.fallback(a, len(m.out.Actions))
		}
		m.out.Actions = append(m.out.Actions, action)
	}
	if k.node("actions") != nil && m.out.Fallback < 0 {
		k.fault("actions", m.fallbackHint(), "no action is the fallback")
	}
}

func (m *manualReader) actionName(a keys, name string, lines map[string]int) {
	if name == "inaction" {
		a.fault("name", "choose another name: inaction is always an option", "an action is called inaction")
	}
	if line := lines[name]; line > 0 {
		a.fault("name", fmt.Sprintf("the first is in line %d: give every action its own name", line), "action %s is there twice", name)
	}
	lines[name] = a.where("name").line
}

func (m *manualReader) action(a keys, name string) dancer.Action {
	return dancer.Action{
		Name:          name,
		Set:           a.settings("set", m.w),
		Fallback:      a.boolean("fallback"),
		Disruption:    a.number("disruption", 0),
		Reversibility: a.number("reversibility", 1),
		Importance:    importanceOf(a.choice("importance", "normal")),
		Precedent:     a.boolean("precedent"),
	}
}

func importanceOf(text string) dancer.Importance {
	switch text {
	case "critical":
		return dancer.Critical
	case "experimental":
		return dancer.Experimental
	}
	return dancer.Normal
}

func (m *manualReader) fallback(a keys, index int) {
	if m.out.Fallback >= 0 {
		a.fault("fallback", "keep it on one action", "%s is a second fallback: %s is one already", a.what, m.out.Actions[m.out.Fallback].Name)
		return
	}
	m.out.Fallback = index
}

// fallbackHint names the action that sets most outputs to their safe values.
func (m *manualReader) fallbackHint() string {
	best, most := "", 0
	for _, a := range m.out.Actions {
		safe := 0
		for _, s := range a.Set {
			if s.Value != m.w.outputs[s.Output].Safe {
				safe = -len(m.w.outputs)
			}
			safe++
		}
		if safe > most && a.Name != "" {
			best, most = a.Name, safe
		}
	}
	if best == "" {
		return "add - {name: halt, set: safe, fallback: true}"
	}
	return fmt.Sprintf("add fallback: true to the action to take when nothing else keeps the floors, for instance %s", best)
}

// baseline is an action by name; inaction says the default aloud.
func (m *manualReader) baseline(k keys) {
	if name := k.text("baseline", ""); name == "" || name == dancer.InactionName {
		return
	}
	if i := m.actionRef(k, "baseline"); i >= 0 {
		m.out.Baseline = m.out.Actions[i].Name
	}
}

func (m *manualReader) escalation(k keys) {
	e := m.section(k.node("escalation"), &escalationSection, "escalation")
	m.out.Escalation = dancer.EscalationPolicy{
		Hold:      m.actionRef(e, "hold"),
		Deadline:  e.duration("deadline", defaultDeadline),
		OnTimeout: m.actionRef(e, "on_timeout"),
		Band:      e.number("band", defaultBand),
		Settle:    e.duration("settle", dancer.Settle),
	}
}

// actionRef gives the index of an action that a key names, or the fallback's.
func (m *manualReader) actionRef(e keys, key string) int {
	name := e.text(key, "")
	if name == "" {
		return m.out.Fallback
	}
	names := make([]string, len(m.out.Actions))
	for i, a := range m.out.Actions {
		names[i] = a.Name
	}
	i := indexOf(names, name)
	if i < 0 {
		e.fault(key, suggest(name, names, "actions"), "%s of %s is %s, which is not an action", key, e.what, strings.TrimSpace(name))
		return m.out.Fallback
	}
	return i
}
