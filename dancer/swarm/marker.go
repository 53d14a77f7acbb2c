package swarm

import (
	"crypto/sha256"
	"encoding/hex"
	"time"

	"dancer/dancer"
)

// Weight is a ternary: +1 verified, 0 uncertain, -1 failed.
type Weight int

// WeightOf gives the weight of a choice by its confidence (0-1), with the limits
// of should_escalate: above 0.8 verified, below 0.4 failed.
func WeightOf(confidence float64) Weight {
	switch {
	case confidence > 0.8:
		return 1
	case confidence >= 0.4:
		return 0
	}
	return -1
}

// Ruled is what one robot chose in one situation. Robots of a cell tell each
// other when their choice or their situation changes.
type Ruled struct {
	Robot     string    `json:"robot"`
	Cell      string    `json:"cell"`
	Decision  string    `json:"decision"` // id
	Situation Situation `json:"situation"`
	Option    string    `json:"option"`
	Outcome   string    `json:"outcome"` // act | hold | under-floor
	Weight    Weight    `json:"weight"`
	At        time.Time `json:"at"` // wall clock
}

// RuledOf is what a robot's decision tells its peers.
func RuledOf(cell string, situation Situation, d *dancer.Decision) Ruled {
	return Ruled{
		Robot: d.Robot, Cell: cell, Decision: d.ID, Situation: situation,
		Option: d.Verdict.Option, Outcome: d.Verdict.Outcome,
		Weight: WeightOf(d.Verdict.Confidence), At: d.At,
	}
}

// Trial is one outcome that a marker gathers while it waits.
type Trial struct {
	Success  bool      `json:"success"` // every floor kept, and not worse than predicted
	Context  string    `json:"context"` // situation key of the decision
	Decision string    `json:"decision"`
	Worst    []float64 `json:"worst,omitempty"` // worst index that followed, in the order of the ladder
	At       time.Time `json:"at"`
}

// TrialLimit bounds the trials of each side; later ones are counted alone.
const TrialLimit = 64

// MarkerVersion is the version of a DecisionMarker.
const MarkerVersion = 1

// DecisionMarker records that two robots of a cell rule the same situation
// differently (spec/swarm-evolution.md, "Decision Marker Structure"). The
// teacher is the one of higher weight, the first by name on a tie.
type DecisionMarker struct {
	Version         int        `json:"version"`
	MarkerID        string     `json:"marker_id"` // the same whoever notices
	PatternName     string     `json:"pattern_name"`
	Situation       Situation  `json:"situation"`
	Cell            string     `json:"cell"`
	TeacherID       string     `json:"teacher_id"`
	TeacherWeight   Weight     `json:"teacher_weight"`
	TeacherOption   string     `json:"teacher_option"`
	StudentID       string     `json:"student_id"`
	StudentWeight   Weight     `json:"student_weight"`
	StudentOption   string     `json:"student_option"`
	MarkedAt        time.Time  `json:"marked_at"`
	ResolvedAt      *time.Time `json:"resolved_at"` // nil while pending
	TeacherOutcomes []Trial    `json:"teacher_outcomes"`
	StudentOutcomes []Trial    `json:"student_outcomes"`
	TeacherTally    Tally      `json:"teacher_tally"`
	StudentTally    Tally      `json:"student_tally"`
	Winner          string     `json:"winner,omitempty"`       // teacher | student | hybrid
	Distribution    string     `json:"distribution,omitempty"` // broadcast | lovechild | organic
	EvidenceDelta   float64    `json:"evidence_delta"`         // teacher's share of successes minus the student's
}

// Tally counts all trials of one side, kept in the list or not.
type Tally struct {
	Trials    int `json:"trials"`
	Successes int `json:"successes"`
}

// Share of successes, 0-1; 0 without a trial.
func (t Tally) Share() float64 {
	if t.Trials == 0 {
		return 0
	}
	return float64(t.Successes) / float64(t.Trials)
}

// Compare gives a marker if two robots of one cell rule the same situation
// differently: by another option, or one under the floor and the other not. The
// order of the two does not matter.
func Compare(a, b Ruled) (DecisionMarker, bool) {
	same := a.Cell == b.Cell && a.Situation.Key == b.Situation.Key && a.Situation.Key != ""
	under := (a.Outcome == dancer.OutcomeUnderFloor) != (b.Outcome == dancer.OutcomeUnderFloor)
	if !same || a.Robot == b.Robot || a.Robot == "" || b.Robot == "" || a.Option == b.Option && !under {
		return DecisionMarker{}, false
	}
	if b.Weight > a.Weight || b.Weight == a.Weight && b.Robot < a.Robot {
		a, b = b, a
	}
	marked := a.At
	if b.At.After(marked) {
		marked = b.At
	}
	return DecisionMarker{
		Version: MarkerVersion, MarkerID: markerID(a, b), PatternName: "rule:" + a.Situation.Key,
		Situation: a.Situation, Cell: a.Cell, MarkedAt: marked.UTC(),
		TeacherID: a.Robot, TeacherWeight: a.Weight, TeacherOption: a.Option,
		StudentID: b.Robot, StudentWeight: b.Weight, StudentOption: b.Option,
		TeacherOutcomes: []Trial{}, StudentOutcomes: []Trial{},
	}, true
}

// markerID is equal for the same dispute, whoever is the teacher of the day.
func markerID(a, b Ruled) string {
	if b.Robot < a.Robot {
		a, b = b, a
	}
	h := sha256.New()
	for _, part := range []string{a.Cell, a.Situation.Key, a.Robot, a.Option, a.Outcome, b.Robot, b.Option, b.Outcome} {
		h.Write([]byte(part))
		h.Write([]byte{0})
	}
	return "blend_" + hex.EncodeToString(h.Sum(nil)[:8])
}

// Append adds a trial of one of the two robots, and says whether it belonged
// here: the robot is a side, ran that side's option in this situation, and the
// marker is pending.
func (m *DecisionMarker) Append(robot, option string, trial Trial) bool {
	if m.ResolvedAt != nil || trial.Context != m.Situation.Key {
		return false
	}
	switch {
	case robot == m.TeacherID && option == m.TeacherOption:
		m.TeacherOutcomes = add(m.TeacherOutcomes, &m.TeacherTally, trial)
	case robot == m.StudentID && option == m.StudentOption:
		m.StudentOutcomes = add(m.StudentOutcomes, &m.StudentTally, trial)
	default:
		return false
	}
	m.EvidenceDelta = m.TeacherTally.Share() - m.StudentTally.Share()
	return true
}

func add(list []Trial, tally *Tally, trial Trial) []Trial {
	tally.Trials++
	if trial.Success {
		tally.Successes++
	}
	if len(list) < TrialLimit {
		list = append(list, trial)
	}
	return list
}

// TrialOf turns what followed a decision into a trial. at is the wall clock.
func TrialOf(situation Situation, o *dancer.Outcome, band float64, at time.Time) Trial {
	t := Trial{Success: o.Success(band), Context: situation.Key, Decision: o.Decision, At: at.UTC()}
	for i := range o.Followed {
		t.Worst = append(t.Worst, o.Followed[i].Worst)
	}
	return t
}
