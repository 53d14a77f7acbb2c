package config

import "time"

var valueSection = section{
	title: "value",
	doc:   "One rung of the ladder of values; the first is the highest.",
	fields: []field{
		{name: "name", form: formName, required: true, doc: "its name, as in impact"},
		{name: "floor", form: formNumber, maximum: 10, doc: "hard veto below this index, 0 to 10; default: no floor"},
		{name: "enough", form: formNumber, maximum: 10, doc: "above this index more is not better, floor to 10; default floor + 2"},
	},
}

var reflexSection = section{
	title: "reflex",
	doc:   "One rule of the spine: when it is true, outputs take these values at once.",
	fields: []field{
		{name: "name", form: formName, required: true, doc: "its name in events and latches"},
		{name: "when", form: formExpression, required: true, doc: "condition over signals and outputs, quoted; an invalid signal fires it"},
		{name: "set", form: formSettings, required: true, doc: "outputs and their values, or safe for all of them"},
		{name: "until", form: formExpression, doc: "condition that ends it, quoted; default: when is false"},
		{name: "latch", form: formChoice, choices: []string{"operator"}, doc: "operator: stays until an operator clears it; default: ends by itself"},
		{name: "stop", form: formChoice, choices: []string{"0", "1", "2"}, doc: "stop category: 0 power off, 1 controlled then off, 2 controlled and held; default 2"},
		{name: "debounce", form: formDuration, maximum: 60, doc: "when must hold this long, up to 60s; default none"},
		{name: "confirm", form: formInteger, minimum: 1, maximum: 1000, doc: "evaluations in a row that must be true, 1 to 1000; default 1"},
		{name: "ramp", form: formDuration, maximum: 60, doc: "with stop 1: how long outputs that are not on or off take to the values of set, up to 60s; default 0s, at once"},
	},
}

var modelSection = section{
	title: "model",
	doc:   "One step of the world, for the forecast.",
	fields: []field{
		{name: "step", form: formDuration, minimum: 0.001, maximum: 10, doc: "length of a step, 1ms to 10s; default 100ms"},
		{name: "next", form: formExpressions, doc: "each signal one step later, from signals, outputs, d.<signal> and dt; signals not named stay as they are"},
		{name: "disturbance", form: formRanges, doc: "what the adversary may add to a signal in one step: {signal: [minimum, maximum]}, in the signal's unit"},
		{name: "horizon", form: formDuration, minimum: 0.001, maximum: 3600, doc: "how far the forecast looks, a step to 1h and at most 10000 steps; default 3s"},
	},
}

var actionSection = section{
	title: "action",
	doc:   "One thing that the robot can do.",
	fields: []field{
		{name: "name", form: formName, required: true, doc: "its name; inaction is taken"},
		{name: "set", form: formSettings, required: true, doc: "outputs and their values, or safe for all of them; outputs not named go on as they are"},
		{name: "fallback", form: formBool, doc: "true for exactly one action: the one to take when nothing else keeps the floors"},
		{name: "disruption", form: formNumber, maximum: 10, doc: "how much it upsets, 0 to 10; default 0"},
		{name: "reversibility", form: formNumber, maximum: 1, doc: "how far it can be undone, 0 to 1; default 1"},
		{name: "importance", form: formChoice, choices: []string{"normal", "critical", "experimental"}, doc: "how sure the robot must be to do it unasked; default normal"},
		{name: "precedent", form: formBool, doc: "always ask; default false"},
	},
}

var escalationSection = section{
	title: "escalation",
	doc:   "What holds while a question is open.",
	fields: []field{
		{name: "hold", form: formText, doc: "action that applies while the question is open; default the fallback"},
		{name: "deadline", form: formDuration, minimum: 1, maximum: 24 * 3600, doc: "how long the robot waits for a ruling, 1s to 24h; default 5m"},
		{name: "on_timeout", form: formText, doc: "action at the deadline, unless it is vetoed; default the fallback"},
		{name: "band", form: formNumber, maximum: 5, doc: "indices closer than this count as equal, 0 to 5; default 0.5"},
		{name: "settle", form: formDuration, minimum: 0.01, maximum: 60, doc: "how long a change must last before a question is raised anew or closed, 10ms to 60s; default 2s"},
	},
}

var manualSection = section{
	title: "manual",
	doc:   "The Safety Manual: what matters, what is done at once, how the world moves, what can be done.",
	fields: []field{
		{name: "values", form: formList, section: &valueSection, required: true, doc: "the ladder of values, the highest first, at most 16"},
		{name: "reflexes", form: formList, section: &reflexSection, doc: "rules of the spine, at most 1024"},
		{name: "model", form: formSection, section: &modelSection, doc: modelSection.doc},
		{name: "impact", form: formExpressions, required: true, doc: "index of every value in any state, 0 (ruin) to 10 (no harm)"},
		{name: "actions", form: formList, section: &actionSection, required: true, doc: "what the robot can do, at most 256; inaction is always an option"},
		{name: "baseline", form: formText, doc: "action whose outputs are what not acting means; default: the outputs go on as they are"},
		{name: "escalation", form: formSection, section: &escalationSection, doc: escalationSection.doc},
	},
}

// Defaults of a manual.
const (
	defaultStep     = 100 * time.Millisecond
	defaultHorizon  = 3 * time.Second
	defaultDeadline = 5 * time.Minute
	defaultBand     = 0.5
	defaultMargin   = 2 // enough = floor + this
	maxSteps        = 10_000
)
