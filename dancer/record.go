package dancer

import "time"

// Index is a coherence index of one value over the horizon, 0 (ruin) to 10 (no
// harm). Worst vetoes and compares, Expected only breaks ties.
type Index struct {
	Value    string  `json:"value"`
	Worst    float64 `json:"worst"`
	Expected float64 `json:"expected"`
	// Unknown: an invalid signal was read, so the index was taken as 0.
	Unknown bool `json:"unknown,omitempty"`
	// Repair is the part of Expected that is better than the world as it was
	// found, and than the floor; it is not compared, see Decide. 0 for none.
	Repair float64 `json:"repair,omitempty"`
}

// Assessment is what the partner forecasts for one option.
type Assessment struct {
	Option        string        `json:"option"`
	Aliases       []string      `json:"aliases,omitempty"` // options with the same outputs, merged into this one
	Inaction      bool          `json:"inaction,omitempty"`
	Outputs       []float64     `json:"outputs"`
	Indices       []Index       `json:"indices"` // in the order of the ladder
	CascadeRisk   float64       `json:"cascade_risk"`
	Recoverable   bool          `json:"recoverable"`
	Disruption    float64       `json:"disruption"`
	Reversibility float64       `json:"reversibility"`
	Changes       int           `json:"changes"` // outputs that differ from now
	Rollouts      int           `json:"rollouts"`
	FloorBreaksIn time.Duration `json:"floor_breaks_in,omitempty"` // earliest, 0 when none breaks

	// Samples holds the worst index of every value in every paired roll-out,
	// Samples[r*len(Indices)+v]; roll-out r met the same disturbances in every
	// option. It belongs to the forecaster, is valid until its next forecast and
	// is not part of a record. Empty: only the aggregate is known.
	Samples []float64 `json:"-"`
}

// Is says whether the assessment goes by that name, aliases included.
func (a *Assessment) Is(name string) bool {
	if a.Option == name {
		return true
	}
	for _, alias := range a.Aliases {
		if alias == name {
			return true
		}
	}
	return false
}

// Veto says which floor took an option out, or which band it fell out of.
type Veto struct {
	Option string  `json:"option"`
	Value  string  `json:"value"`
	Worst  float64 `json:"worst"`
	Floor  float64 `json:"floor"`
}

// SignalSnapshot is one input of a decision.
type SignalSnapshot struct {
	Name     string        `json:"name"`
	Value    float64       `json:"value"` // 0 when not valid
	Validity string        `json:"validity"`
	Age      time.Duration `json:"age"`
	Unit     string        `json:"unit,omitempty"` // as in the manual
}

// Outcome of a verdict, one of the four cases of the ladder.
const (
	OutcomeAct        = "act"         // an action is above every floor (and better than, or alone against, inaction)
	OutcomeHold       = "hold"        // inaction is above, or wins
	OutcomeUnderFloor = "under-floor" // every option is under a floor: the least-violating one runs
)

// Verdict is what the ladder says of a set of assessments.
type Verdict struct {
	Outcome    string   `json:"outcome"`
	Option     string   `json:"option"` // the winner
	RunnerUp   string   `json:"runner_up,omitempty"`
	Survivors  []string `json:"survivors"` // options that no floor took out (under the floor: those within the band of the least violation)
	Vetoes     []Veto   `json:"vetoes,omitempty"`
	DecidedBy  string   `json:"decided_by"` // the rung or tie-break that separated the winner from the runner-up
	Margin     float64  `json:"margin"`
	Confidence float64  `json:"confidence"` // 0-1
	Escalate   bool     `json:"escalate"`
	Because    []string `json:"because,omitempty"` // why it escalates, in plain words
	Why        []string `json:"why"`               // the verdict in plain words, one reason a line

	// Incomparable names the winner and the runner-up, by name, when the
	// forecast cannot tell them apart; the winner is the ladder's all the same.
	Incomparable []string `json:"incomparable,omitempty"`
	// Parts of the confidence; nil in records from before they were kept.
	Parts *ConfidenceParts `json:"confidence_parts,omitempty"`
}

// ConfidenceParts is what a confidence is made of; all are shares, 0-1.
type ConfidenceParts struct {
	// Separation: paired roll-outs in which the winner is not worse than the
	// runner-up; 1 when only one option survives.
	Separation float64 `json:"separation"`
	// Freshness is the lowest freshness of the signals read.
	Freshness float64 `json:"freshness"`
	// Score is Separation times Freshness: the raw confidence.
	Score float64 `json:"score"`
	// Calibrated is the score as logged outcomes bear it out, never above
	// Freshness: the confidence.
	Calibrated float64 `json:"calibrated"`
}

// Decision is the whole record of one decision. It is a pure function of the
// Input that it carries.
type Decision struct {
	Version     int              `json:"version"` // 1
	ID          string           `json:"id"`      // ULID; set by the caller
	Robot       string           `json:"robot"`
	At          time.Time        `json:"at"`        // wall clock, display only
	Monotonic   time.Duration    `json:"monotonic"` // of the robot's clock
	Tier        int              `json:"tier"`      // 2 or 3
	ManualHash  string           `json:"manual"`
	Seed        uint64           `json:"seed"`
	Budget      int              `json:"budget"`              // roll-outs per option that were allowed
	Completed   int              `json:"completed,omitempty"` // how many of them a forecast completed that was cut short; 0: it was not
	Signals     []SignalSnapshot `json:"signals"`
	Outputs     []NamedValue     `json:"outputs"`               // before the decision
	Ladder      []Rung           `json:"ladder"`                // the manual's values in order
	Baseline    string           `json:"baseline,omitempty"`    // action that not acting means; "": the outputs go on as they are
	Calibration *Calibration     `json:"calibration,omitempty"` // of the confidence, when outcomes were counted
	Widening    *Widening        `json:"widening,omitempty"`    // of the disturbances, when the model's error asked for it
	Assessments []Assessment     `json:"assessments"`
	Verdict     Verdict          `json:"verdict"`
	Question    string           `json:"question,omitempty"` // id of the open escalation, if any
	Running     string           `json:"running"`            // option whose outputs were commanded
	Who         string           `json:"who"`                // command | hold | ruling | timeout | none
	Elapsed     time.Duration    `json:"elapsed"`
}

// Find gives the assessment of the option of that name, aliases included; nil
// if there is none.
func (d *Decision) Find(option string) *Assessment {
	for i := range d.Assessments {
		if d.Assessments[i].Is(option) {
			return &d.Assessments[i]
		}
	}
	return nil
}

// Rung is one value of the ladder as it stood in a decision, so that a reader
// can hold each index against its floor without the manual.
type Rung struct {
	Value    string  `json:"value"`
	Floor    float64 `json:"floor"`
	HasFloor bool    `json:"has_floor"`
	Enough   float64 `json:"enough"`
}

// NamedValue is one output's value.
type NamedValue struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
}
