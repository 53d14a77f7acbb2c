package conductor

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"dancer/mesh"
)

const cell = "gallery-east"

// id makes a ULID from a number.
func id(n int) string { return fmt.Sprintf("01JBMTSEVM%016d", n) }

func at(seconds int) Moment {
	d := time.Duration(seconds) * time.Second
	return Moment{Monotonic: d, Wall: time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC).Add(d)}
}

func envelope(t testing.TB, n int, kind mesh.Kind, from string, body any) mesh.Envelope {
	t.Helper()
	e, err := mesh.NewWithID(id(n), kind, from, uint64(n), at(0).Wall, body)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

const twoOptions = `{"assessments":[{"option":"patrol","aliases":["inaction"],"inaction":true,"recoverable":true,"indices":[{"value":"human_safety","worst":2}]},
 {"option":"halt","recoverable":true,"indices":[{"value":"human_safety","worst":9}]}],
 "ladder":[{"value":"human_safety","floor":5,"has_floor":true}],"verdict":{"option":"halt","survivors":["halt"]}}`

func escalation(n, revision int, robot, state string) mesh.Escalation {
	return mesh.Escalation{
		ID: id(n), Revision: revision, State: state, Robot: robot, Cell: cell, RaisedAt: at(n).Wall, DueAt: at(n + 300).Wall,
		Running: "halt", Hold: "halt", OnTimeout: "halt", Proposed: "halt", Decision: json.RawMessage(twoOptions),
	}
}

// raise feeds one escalation and checks that it is stored before it is acked.
func raise(t testing.TB, r *Register, n int, e mesh.Escalation) Effects {
	t.Helper()
	env := envelope(t, n, mesh.KindEscalation, e.Robot, e)
	effects, err := r.Apply(at(n), e.Cell, e.Robot, env)
	if err != nil {
		t.Fatal(err)
	}
	if len(effects.Store) != 1 || effects.Store[0].ID != e.ID {
		t.Fatalf("stored %+v", effects.Store)
	}
	if len(effects.Send) != 1 {
		t.Fatalf("sent %+v", effects.Send)
	}
	ack, ok := effects.Send[0].Body.(mesh.Ack)
	if !ok || ack.Of != env.ID || ack.Outcome != AckStored || ack.Validate() != nil || effects.Send[0].Durable {
		t.Fatalf("sent %+v", effects.Send[0])
	}
	return effects
}

// rule gives a ruling and returns its id, or the error.
func rule(t testing.TB, r *Register, n, question int, verdict, option string) error {
	t.Helper()
	_, effects, err := r.Rule(at(n), id(question), id(n), mesh.Ruling{Verdict: verdict, Option: option, By: "Ada"})
	if err == nil && (len(effects.Store) != 1 || len(effects.Send) != 1 || !effects.Send[0].Durable || effects.Send[0].ID != id(n)) {
		t.Fatalf("effects of a ruling: %+v", effects)
	}
	return err
}

// acknowledge feeds a robot's answer to the ruling of an envelope id.
func acknowledge(t testing.TB, r *Register, n, ruling int, robot, outcome string) Effects {
	t.Helper()
	effects, err := r.Apply(at(n), cell, robot, envelope(t, n, mesh.KindAck, robot, mesh.Ack{Of: id(ruling), Outcome: outcome, Running: "halt"}))
	if err != nil {
		t.Fatal(err)
	}
	return effects
}

func status(r *Register, n int) string {
	q, ok := r.Question(id(n))
	if !ok {
		return "unknown"
	}
	return q.Status
}

// TestLife walks questions through everything that can happen to them, a step a
// line: what happens, then the status that people must see.
func TestLife(t *testing.T) {
	const q = 1
	approve := func(n int) string { return fmt.Sprintf("rule %d approve", n) }
	for name, steps := range map[string][][2]string{
		"approved":                          {{approve(10), StatusOpen}, {"ack 10 applied", StatusApproved}, {"withdrawn", StatusApproved}},
		"denied":                            {{"rule 10 deny", StatusOpen}, {"ack 10 applied", StatusDenied}, {"timed-out", StatusDenied}},
		"deny revokes approve":              {{approve(10), StatusOpen}, {"ack 10 applied", StatusApproved}, {"rule 11 deny", StatusApproved}, {"ack 11 applied", StatusDenied}},
		"approve does not revoke deny":      {{"rule 10 deny", StatusOpen}, {"rule 11 approve refused", StatusOpen}, {"ack 10 applied", StatusDenied}, {"rule 12 approve refused", StatusDenied}, {"rule 13 defer refused", StatusDenied}},
		"a vetoed ruling leaves it open":    {{approve(10), StatusOpen}, {"ack 10 vetoed", StatusOpen}, {approve(11), StatusOpen}, {"ack 11 applied", StatusApproved}},
		"a vetoed denial binds nobody":      {{"rule 10 deny", StatusOpen}, {"ack 10 refused", StatusOpen}, {approve(11), StatusOpen}},
		"deferred, then approved":           {{"rule 10 defer", StatusOpen}, {"ack 10 applied", StatusDeferred}, {approve(11), StatusDeferred}, {"ack 11 applied", StatusApproved}},
		"a deferral takes an approval back": {{approve(10), StatusOpen}, {"ack 10 applied", StatusApproved}, {"rule 11 defer", StatusApproved}, {"ack 11 applied", StatusDeferred}},
		"escalate takes an approval back":   {{approve(10), StatusOpen}, {"ack 10 applied", StatusApproved}, {"rule 11 escalate", StatusApproved}, {"ack 11 applied", StatusOpen}},
		"escalated further stays open":      {{"rule 10 escalate", StatusOpen}, {"ack 10 kept", StatusOpen}},
		"nobody answers":                    {{"timed-out", StatusTimedOut}, {approve(10), StatusTimedOut}, {"ack 10 late", StatusTimedOut}},
		"deferred, then nobody answers":     {{"rule 10 defer", StatusOpen}, {"ack 10 applied", StatusDeferred}, {"timed-out", StatusTimedOut}},
		"late means that it is over":        {{approve(10), StatusOpen}, {"ack 10 late", StatusWithdrawn}, {"timed-out", StatusTimedOut}},
		"it passes by itself":               {{"withdrawn", StatusWithdrawn}},
		"a repeated ack changes nothing":    {{approve(10), StatusOpen}, {"ack 10 applied", StatusApproved}, {"ack 10 late", StatusApproved}},
	} {
		t.Run(name, func(t *testing.T) {
			r := New(Limits{})
			raise(t, r, 1, escalation(q, 1, "bot", "open"))
			for i, step := range steps {
				words := strings.Fields(step[0])
				var n int
				if len(words) > 1 {
					fmt.Sscan(words[1], &n)
				}
				switch words[0] {
				case "rule":
					err := rule(t, r, n, q, words[2], "")
					if refused := len(words) == 4; refused != errors.Is(err, ErrStands) {
						t.Fatalf("step %d %s: %v", i, step[0], err)
					}
				case "ack":
					acknowledge(t, r, 100+i, n, "bot", words[2])
				default:
					raise(t, r, 200+i, escalation(q, 2+i, "bot", words[0]))
				}
				if got := status(r, q); got != step[1] {
					t.Fatalf("after %q it is %s, want %s", step[0], got, step[1])
				}
			}
			check(t, r)
		})
	}
}

// check compares the register's counts with what it holds.
func check(t interface {
	Helper()
	Fatalf(string, ...any)
}, r *Register) {
	t.Helper()
	open := 0
	for _, q := range r.Questions("all") {
		if q.Open() {
			open++
		}
	}
	if open != r.OpenCount() || len(r.Questions("open")) != open {
		t.Fatalf("%d open questions, but it counts %d and lists %d", open, r.OpenCount(), len(r.Questions("open")))
	}
	if all, closed := len(r.Questions("all")), len(r.Questions("closed")); all != open+closed || closed != len(r.closed) {
		t.Fatalf("%d questions, %d open, %d closed, %d in the order of closing", all, open, closed, len(r.closed))
	}
	for ruling, question := range r.rulings {
		if q, ok := r.questions[question]; !ok || !slices.ContainsFunc(q.Rulings, func(x Ruling) bool { return x.ID == ruling }) {
			t.Fatalf("ruling %s points to question %s, which has none such", ruling, question)
		}
	}
}

// TestAnyOrder feeds random messages and checks after each that the register
// agrees with itself, and that no ruling ever comes between a denial and its
// being carried out.
func TestAnyOrder(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		r := New(Limits{Open: 5, Closed: 3})
		disk := map[string]Question{}
		r.SetRecall(func(id string) (Question, bool) { q, ok := disk[id]; return q, ok })
		keep := func(e Effects) {
			for _, q := range e.Store {
				disk[q.ID] = q
			}
		}
		rulings := 0
		for step := range rapid.IntRange(1, 60).Draw(rt, "steps") {
			n := 1000 + step
			question := rapid.IntRange(1, 9).Draw(rt, "question")
			robot := fmt.Sprintf("bot-%d", question%3)
			switch rapid.IntRange(0, 2).Draw(rt, "what") {
			case 0:
				e := escalation(question, rapid.IntRange(1, 4).Draw(rt, "revision"), robot, rapid.SampledFrom([]string{"open", "withdrawn", "timed-out"}).Draw(rt, "state"))
				effects, err := r.Apply(at(n), cell, robot, envelope(t, n, mesh.KindEscalation, robot, e))
				if err != nil && !errors.Is(err, ErrFull) {
					rt.Fatal(err)
				}
				keep(effects)
			case 1:
				verdict := rapid.SampledFrom([]string{"approve", "deny", "defer", "escalate", "reschedule"}).Draw(rt, "verdict")
				_, effects, err := r.Rule(at(n), id(question), id(5000+rulings), mesh.Ruling{Verdict: verdict, By: "Ada"})
				if err == nil {
					rulings++
				}
				keep(effects)
			case 2:
				if rulings == 0 {
					continue
				}
				of := 5000 + rapid.IntRange(0, rulings-1).Draw(rt, "ruling")
				outcome := rapid.SampledFrom([]string{AckApplied, AckVetoed, AckLate, AckKept}).Draw(rt, "outcome")
				effects, err := r.Apply(at(n), cell, robot, envelope(t, n, mesh.KindAck, robot, mesh.Ack{Of: id(of), Outcome: outcome}))
				if err != nil && !errors.Is(err, mesh.ErrInvalid) {
					rt.Fatal(err)
				}
				keep(effects)
			}
			check(rt, r)
		}
		// A restart knows the same.
		restored := New(Limits{Open: 5, Closed: 1000})
		var list []Question
		for _, q := range disk {
			list = append(list, q)
		}
		slices.SortFunc(list, func(a, b Question) int { return strings.Compare(a.ID, b.ID) })
		pending := restored.Restore(list)
		unanswered := 0
		for _, q := range disk {
			if got, _ := restored.Question(q.ID); got.Status != q.Status {
				rt.Fatalf("%s is %s after a restart, %s before", q.ID, got.Status, q.Status)
			}
			for _, x := range q.Rulings {
				if x.Ack == nil {
					unanswered++
				}
			}
		}
		if len(pending) != unanswered {
			rt.Fatalf("%d rulings sent again, %d unanswered", len(pending), unanswered)
		}
		check(rt, restored)
	})
}

func TestDuplicatesAreAcknowledgedAndStoredAgain(t *testing.T) {
	r := New(Limits{})
	raise(t, r, 1, escalation(1, 2, "bot", "open"))
	if err := rule(t, r, 2, 1, mesh.RuleDefer, ""); err != nil {
		t.Fatal(err)
	}
	for _, revision := range []int{2, 1} {
		effects := raise(t, r, 3, escalation(1, revision, "bot", "open"))
		if len(effects.Questions) != 0 {
			t.Errorf("revision %d again is news: %v", revision, effects.Questions)
		}
		if len(effects.Store[0].Rulings) != 1 || effects.Store[0].Revision != 2 {
			t.Errorf("revision %d again stores %+v", revision, effects.Store[0])
		}
	}
	if c := r.Counters(); c.Escalations != 1 || c.Duplicates != 2 {
		t.Errorf("%+v", c)
	}
}

func TestForeignMessagesAreInvalid(t *testing.T) {
	r := New(Limits{})
	raise(t, r, 1, escalation(1, 1, "bot", "open"))
	if err := rule(t, r, 2, 1, mesh.RuleApprove, "halt"); err != nil {
		t.Fatal(err)
	}
	other := escalation(1, 9, "thief", "withdrawn")
	for name, c := range map[string]struct {
		agent string
		e     mesh.Envelope
	}{
		"another sender":                   {"bot", envelope(t, 3, mesh.KindState, "thief", mesh.State{Robot: "bot", Cell: cell})},
		"a state of somebody else":         {"thief", envelope(t, 3, mesh.KindState, "thief", mesh.State{Robot: "bot", Cell: cell})},
		"a question of somebody else":      {"thief", envelope(t, 3, mesh.KindEscalation, "thief", escalation(7, 1, "bot", "open"))},
		"the id of somebody's question":    {"thief", envelope(t, 3, mesh.KindEscalation, "thief", other)},
		"an answer to another one's order": {"thief", envelope(t, 3, mesh.KindAck, "thief", mesh.Ack{Of: id(2), Outcome: AckApplied})},
		"an outcome that is none":          {"bot", envelope(t, 3, mesh.KindAck, "bot", mesh.Ack{Of: id(2), Outcome: "perhaps"})},
	} {
		if _, err := r.Apply(at(3), cell, c.agent, c.e); !errors.Is(err, mesh.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := status(r, 1); got != StatusOpen {
		t.Errorf("the question is %s", got)
	}
	if effects, err := r.Apply(at(3), cell, "bot", envelope(t, 3, mesh.KindAck, "_conductor-museum", mesh.Ack{Of: id(1), Outcome: AckStored})); err != nil || len(effects.Done) != 0 {
		t.Errorf("a conductor's own ack: %+v %v", effects, err)
	}
}

func TestRulingsThatCannotBeRight(t *testing.T) {
	r := New(Limits{Rulings: 1})
	raise(t, r, 1, escalation(1, 1, "bot", "open"))
	for name, c := range map[string]struct {
		question string
		ruling   mesh.Ruling
		want     string
	}{
		"unknown question": {id(9), mesh.Ruling{Verdict: "deny", By: "Ada"}, "rule on " + id(9) + ": unknown question"},
		"no verdict":       {id(1), mesh.Ruling{Verdict: "maybe", By: "Ada"}, `"maybe" is no verdict (give one of approve, deny, defer, reschedule, escalate)`},
		"by nobody":        {id(1), mesh.Ruling{Verdict: "deny", By: " "}, "nobody rules (give by: the name of who decides)"},
		"unknown option":   {id(1), mesh.Ruling{Verdict: "approve", Option: "fly", By: "Ada"}, `no option "fly" (the options are patrol, inaction, halt)`},
		"denied option":    {id(1), mesh.Ruling{Verdict: "deny", Option: "halt", By: "Ada"}, "an option goes with approve alone, not with deny"},
		"long name":        {id(1), mesh.Ruling{Verdict: "deny", By: strings.Repeat("a", 101)}, "by is longer than 100 bytes"},
		"long note":        {id(1), mesh.Ruling{Verdict: "deny", By: "Ada", Note: strings.Repeat("a", 2001)}, "note is longer than 2000 bytes"},
	} {
		_, effects, err := r.Rule(at(2), c.question, id(2), c.ruling)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if len(effects.Store)+len(effects.Send) != 0 {
			t.Errorf("%s: effects %+v", name, effects)
		}
	}
	if err := rule(t, r, 3, 1, mesh.RuleApprove, "inaction"); err != nil {
		t.Errorf("an alias: %v", err)
	}
	if err := rule(t, r, 4, 1, mesh.RuleDeny, ""); !errors.Is(err, ErrFull) {
		t.Errorf("over the limit of rulings: %v", err)
	}
	r.Unrule(id(1), id(3))
	if n := len(r.Rulings()); n != 0 {
		t.Errorf("%d rulings after one was taken back", n)
	}
	check(t, r)
}

func TestFullRegisterDoesNotAcknowledge(t *testing.T) {
	r := New(Limits{Open: 1, Agents: 1})
	raise(t, r, 1, escalation(1, 1, "bot", "open"))
	effects, err := r.Apply(at(2), cell, "bot", envelope(t, 2, mesh.KindEscalation, "bot", escalation(2, 1, "bot", "open")))
	if !errors.Is(err, ErrFull) || len(effects.Send) != 0 {
		t.Errorf("%+v %v", effects, err)
	}
	raise(t, r, 3, escalation(1, 2, "bot", "withdrawn"))
	raise(t, r, 4, escalation(2, 1, "bot", "open"))
	if _, err := r.Apply(at(5), cell, "second", envelope(t, 5, mesh.KindConnection, "second", mesh.Connection{State: mesh.Online, Role: mesh.RoleRobot})); !errors.Is(err, ErrFull) {
		t.Errorf("a second agent: %v", err)
	}
	check(t, r)
}

func TestClosedQuestionsLeaveMemoryAndAreRecalled(t *testing.T) {
	r := New(Limits{Closed: 2})
	disk := map[string]Question{}
	r.SetRecall(func(id string) (Question, bool) { q, ok := disk[id]; return q, ok })
	var forgotten []string
	for n := 1; n <= 4; n++ {
		e := raise(t, r, n, escalation(n, 1, "bot", "timed-out"))
		disk[e.Store[0].ID] = e.Store[0]
		forgotten = append(forgotten, e.Forget...)
	}
	if want := []string{id(1), id(2)}; !slices.Equal(forgotten, want) {
		t.Errorf("forgot %v, want %v", forgotten, want)
	}
	if q, ok := r.Question(id(1)); !ok || q.Status != StatusTimedOut {
		t.Errorf("a question on disk: %+v %v", q, ok)
	}
	if err := rule(t, r, 10, 1, mesh.RuleApprove, "halt"); err != nil {
		t.Errorf("a late ruling on a question that left memory: %v", err)
	}
	check(t, r)
}

func TestLifeOfAgents(t *testing.T) {
	r := New(Limits{Silence: 75 * time.Second})
	online := func(n int, state string) {
		t.Helper()
		if _, err := r.Apply(at(n), cell, "bot", envelope(t, n+1, mesh.KindConnection, "bot", mesh.Connection{State: state, Role: mesh.RoleRobot})); err != nil {
			t.Fatal(err)
		}
	}
	alive := func(want bool, why string) {
		t.Helper()
		if a, ok := r.Agent("bot"); !ok || a.Alive != want {
			t.Errorf("%s: alive %v, want %v", why, a.Alive, want)
		}
	}
	online(0, mesh.Online)
	alive(true, "online")
	r.Tick(at(75))
	alive(true, "silent for the limit")
	if e := r.Tick(at(76)); len(e.Agents) != 1 {
		t.Errorf("the change is not told: %+v", e)
	}
	alive(false, "silent for longer, though retained ONLINE")
	r.Members(at(80), cell, []Member{{Name: "bot", Alive: true}, {Name: "_conductor-museum", Alive: true}})
	alive(true, "seen by gossip")
	r.Members(at(81), cell, nil)
	alive(false, "gone from gossip, silent on MQTT")
	online(82, mesh.Online)
	alive(true, "heard again")
	online(83, mesh.Broken)
	alive(false, "the last will came")
	if n := len(r.Agents()); n != 1 {
		t.Errorf("%d agents: a conductor is none", n)
	}
	if _, err := r.Ask(at(84), "bot", id(50), mesh.Request{Do: "start", By: "Ada"}); !errors.Is(err, ErrNotThere) {
		t.Errorf("start of a robot that is not there: %v", err)
	}
	if e, err := r.Ask(at(84), "bot", id(51), mesh.Request{Do: "stop", By: "Ada"}); err != nil || !e.Send[0].Durable {
		t.Errorf("stop of a robot that is not there: %+v %v", e, err)
	}
	online(85, mesh.Online)
	if e, err := r.Ask(at(86), "bot", id(52), mesh.Request{Do: "start", By: "Ada"}); err != nil || e.Send[0].Durable {
		t.Errorf("a start must not wait in an outbox: %+v %v", e, err)
	}
	r.Retire(cell, "bot")
	if _, ok := r.Agent("bot"); ok {
		t.Error("retired, and still there")
	}
}

func TestSeverity(t *testing.T) {
	decision := func(running, inaction float64, recoverable bool, cascade float64) json.RawMessage {
		return json.RawMessage(fmt.Sprintf(`{"assessments":[
		 {"option":"patrol","inaction":true,"recoverable":true,"indices":[{"value":"task","worst":1},{"value":"human_safety","worst":%g},{"value":"irreplaceable","worst":9}]},
		 {"option":"halt","recoverable":%v,"cascade_risk":%g,"indices":[{"value":"task","worst":0},{"value":"human_safety","worst":%g},{"value":"irreplaceable","worst":2}]}],
		 "ladder":[{"value":"task"},{"value":"human_safety","floor":5,"has_floor":true},{"value":"irreplaceable","floor":1,"has_floor":true}],
		 "verdict":{"option":"halt"}}`, inaction, recoverable, cascade, running))
	}
	for _, c := range []struct {
		name     string
		decision json.RawMessage
		want     Severity
	}{
		{"unreadable", json.RawMessage(`"?"`), Severity{Level: LevelCritical, Rung: -1, Why: "the robot's decision cannot be read"}},
		{"runs under a floor", decision(2, 2, true, 0), Severity{Level: LevelCritical, Rung: 1, Value: "human_safety", Violation: 3, Why: "what runs now (halt) is under the floor of human_safety: worst 2.0"}},
		{"breaks without an answer", decision(9, 4, true, 0), Severity{Level: LevelHigh, Rung: 1, Value: "human_safety", Violation: 1, Why: "without an answer human_safety goes under its floor: worst 4.0"}},
		{"no way back", decision(9, 9, false, 0), Severity{Level: LevelHigh, Rung: -1, Why: "halt cannot be undone"}},
		{"cascade", decision(9, 9, true, 0.9), Severity{Level: LevelHigh, Rung: -1, Why: "halt breaks a floor in 90% of the forecasts"}},
		{"calm", decision(9, 9, true, 0.1), Severity{Level: LevelNormal, Rung: -1, Why: "every floor is kept"}},
	} {
		if got := Assess(mesh.Escalation{Running: "halt", Decision: c.decision}); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}

func TestMostSevereFirst(t *testing.T) {
	q := func(n int, level string, rung int, violation float64, due int) Question {
		return Question{Escalation: mesh.Escalation{ID: id(n), DueAt: at(due).Wall, RaisedAt: at(0).Wall}, Status: StatusOpen, Severity: Severity{Level: level, Rung: rung, Violation: violation}}
	}
	want := []Question{
		q(1, LevelCritical, 0, 4, 900), q(2, LevelCritical, 0, 3, 10), q(3, LevelCritical, 1, 5, 10), q(4, LevelCritical, -1, 0, 10),
		q(5, LevelHigh, 0, 1, 5), q(6, LevelNormal, -1, 0, 5), q(7, LevelNormal, -1, 0, 60), q(8, LevelNormal, -1, 0, 60),
	}
	closed := q(0, LevelCritical, 0, 9, 1)
	closed.Status = StatusTimedOut
	want = append(want, closed)
	for seed := range uint64(20) {
		got := slices.Clone(want)
		rand.New(rand.NewPCG(seed, 1)).Shuffle(len(got), func(i, j int) { got[i], got[j] = got[j], got[i] })
		slices.SortFunc(got, MostSevereFirst)
		for i := range got {
			if got[i].ID != want[i].ID {
				t.Fatalf("seed %d: place %d has %s, want %s", seed, i, got[i].ID, want[i].ID)
			}
		}
	}
}

// FuzzAssess feeds decisions of peers: they may be anything.
func FuzzAssess(f *testing.F) {
	f.Add([]byte(twoOptions))
	f.Add([]byte(`{"assessments":[{"indices":[{"worst":1e999}]}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		s := Assess(mesh.Escalation{Decision: raw, Running: "halt"})
		if level(s.Level) == 2 && s.Level != LevelNormal || s.Violation < 0 || s.Violation > 10 {
			t.Errorf("%+v", s)
		}
	})
}
