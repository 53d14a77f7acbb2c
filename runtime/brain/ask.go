package brain

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"strings"
	"time"

	"dancer/dancer"
	"dancer/mesh"
)

// outgoingQueue bounds the questions that wait for the disk. A robot raises one
// question at a time, so that a full queue means a disk that has stopped.
const outgoingQueue = 256

// ask turns a change of the question into a message and hands it to the mailer.
// It does not wait.
func (b *brain) ask(c *dancer.Change, d *dancer.Decision) {
	e, err := b.escalation(c, d)
	if err != nil {
		b.log.Error("encode escalation", "question", c.ID, "error", err)
		return
	}
	b.emit(kindEscalation, e)
	b.stateChanged()
	select {
	case b.outgoing <- posting{e, b.questionState()}:
	default:
		b.archive.lost.Add(1)
		b.log.Error("queue escalation: the queue is full: the disk does not keep up", "question", e.ID, "waiting", outgoingQueue)
	}
}

func (b *brain) escalation(c *dancer.Change, d *dancer.Decision) (mesh.Escalation, error) {
	decision, err := json.Marshal(d)
	if err != nil {
		return mesh.Escalation{}, err
	}
	wall, now := b.wall().UTC(), b.clock()
	return mesh.Escalation{
		ID: c.ID, Revision: c.Revision, State: wireState(c.State),
		Robot: b.robot.Name, Cell: b.robot.Cell,
		RaisedAt: wall.Add(c.RaisedAt - now), DueAt: wall.Add(c.Due - now),
		Situation: c.Situation, Because: c.Because, Running: c.Running,
		Hold: c.Hold, OnTimeout: c.OnTimeout, Proposed: c.Proposed, Decision: decision,
	}, nil
}

// wireState is the state of an escalation as conductors know it: a deferred
// question is still open for them.
func wireState(s dancer.QuestionState) string {
	if s.Awaits() {
		return dancer.QuestionOpen.String()
	}
	return s.String()
}

// post stores each question and its message together and sends it, until the
// context ends and the queue is empty. What the disk refuses is tried again.
func (b *brain) post(ctx context.Context) error {
	var waiting []posting
	retry := time.NewTicker(postRetry)
	defer retry.Stop()
	for {
		select {
		case e := <-b.outgoing:
			waiting = append(waiting, e)
		case <-retry.C:
		case <-ctx.Done():
			b.postAll(context.WithoutCancel(ctx), b.drainOutgoing(waiting))
			return nil
		}
		waiting = b.postAll(ctx, waiting)
	}
}

// postRetry is the pause after the disk refused a question.
const postRetry = 2 * time.Second

func (b *brain) drainOutgoing(waiting []posting) []posting {
	for {
		select {
		case e := <-b.outgoing:
			waiting = append(waiting, e)
		default:
			return waiting
		}
	}
}

// postAll posts in order and gives what could not be stored.
func (b *brain) postAll(ctx context.Context, waiting []posting) []posting {
	for i := range waiting {
		if err := b.postOne(ctx, waiting[i]); err != nil {
			b.log.Error("store escalation: it is kept in memory and tried again", "question", waiting[i].question.ID, "error", err)
			return append([]posting(nil), waiting[max(i, len(waiting)-outgoingQueue):]...)
		}
	}
	return nil
}

func (b *brain) postOne(ctx context.Context, p posting) error {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	change, err := b.archive.questions.Change(p.question.ID, p.question)
	if err != nil {
		return err
	}
	state, err := b.archive.state.Change(questionKey, p.state)
	if err != nil {
		return err
	}
	return b.mail.send(ctx, mesh.KindEscalation, p.question, change, state)
}

// posting is a question on its way out, with what must be stored beside it.
type posting struct {
	question mesh.Escalation
	state    questionState
}

// questionState is the robot's question as it is stored: the clock that its
// times are on ends with the boot.
type questionState struct {
	Boot     string                `json:"boot"`
	Question dancer.QuestionRecord `json:"question"`
}

// questionKey is where the question is stored.
const questionKey = "question"

// questionState is read in the decision goroutine alone.
func (b *brain) questionState() questionState {
	return questionState{Boot: bootID(), Question: b.question.Record()}
}

// restoreQuestion goes on with the question of a brain that was killed, if the
// machine was not started anew since.
func (b *brain) restoreQuestion() *dancer.Question {
	stored, err := b.archive.state.Get(questionKey)
	if err != nil || stored.Boot == "" || stored.Boot != bootID() {
		return dancer.NewQuestion(b.manual, b.newID)
	}
	return dancer.RestoreQuestion(b.manual, b.newID, stored.Question)
}

// bootID names this start of the machine; "" where the kernel does not say.
func bootID() string {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(id))
}

// withdrawOrphans closes the questions that were left open when the machine was
// switched off: the situation will raise a new one if it is still there. It runs
// before the decision goroutine.
func (b *brain) withdrawOrphans(ctx context.Context) error {
	var orphans []mesh.Escalation
	_, restored := b.question.State()
	err := b.archive.questions.Range("", "", func(_ string, e mesh.Escalation) error {
		if e.State == dancer.QuestionOpen.String() && e.ID != restored {
			orphans = append(orphans, e)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, e := range orphans {
		e.Revision++
		e.State = dancer.QuestionWithdrawn.String()
		e.Because = []string{"the robot was restarted: if the situation is still there it asks anew"}
		e.Running = b.manual.Actions[b.manual.Fallback].Name
		if err := b.postOne(ctx, posting{e, b.questionState()}); err != nil {
			return err
		}
	}
	return nil
}

// seedOf condenses the manual's hash into the base of the seeds.
func seedOf(hash string) uint64 {
	sum := sha256.Sum256([]byte(strings.TrimPrefix(hash, "sha256:")))
	var n uint64
	for _, c := range sum[:8] {
		n = n<<8 | uint64(c)
	}
	return n
}

// contextOf is the short form of the manual's hash in an impedance record.
func contextOf(hash string) string {
	short := strings.TrimPrefix(hash, "sha256:")
	if _, err := hex.DecodeString(short); err != nil || len(short) < 16 {
		return ""
	}
	return short[:16]
}
