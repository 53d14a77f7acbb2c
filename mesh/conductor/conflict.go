package conductor

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"dancer/mesh"
	"dancer/mesh/conflict"
)

// divergedFor is how long an agent must say two different things of its manual
// before that is a conflict: after a new manual its state comes at once, its
// gossip within seconds, and one of each must have come anew.
const divergedFor = 90 * time.Second

// divergedAgain is how often it is said again while it lasts.
const divergedAgain = time.Minute

// disagreement is a ruling that contradicts the one that stands: by somebody else,
// or less restrictive. Who restricts what they allowed before has changed their
// mind, which is no conflict.
func disagreement(q *Question, given mesh.Ruling) []conflict.Claim {
	s := q.standing()
	if s == nil || q.State != "open" {
		return nil
	}
	stands := s.Ruling
	for _, r := range []*mesh.Ruling{&stands, &given} {
		if r.Verdict == mesh.RuleApprove && r.Option == "" {
			r.Option = q.Proposed
		}
	}
	if stands.Verdict == given.Verdict && stands.Option == given.Option {
		return nil
	}
	if s.By == given.By && mesh.Restrictiveness(given.Verdict) > mesh.Restrictiveness(s.Verdict) {
		return nil
	}
	return []conflict.Claim{conflict.OfRulings(stands, given)}
}

// otherContent is a revision of a question that came again with another content:
// something between the robot and here is not what it was, or two robots bear one
// name. What is here stays.
func otherContent(stored, received *mesh.Escalation, e mesh.Envelope) []conflict.Claim {
	if stored.Revision != received.Revision {
		return nil // an old one that comes late
	}
	was, err := json.Marshal(stored)
	is, err2 := json.Marshal(received)
	if err != nil || err2 != nil || bytes.Equal(was, is) {
		return nil
	}
	return []conflict.Claim{{
		Detail: conflict.Detail{Type: conflict.HashMismatch}, Source: received.Robot, Message: e.ID,
		Subject:  "question " + received.ID + " of " + received.Robot + ", revision " + strconv.Itoa(received.Revision),
		Expected: sum(was), Received: sum(is), Data: is,
	}}
}

func sum(data []byte) string {
	s := sha256.Sum256(data)
	return "sha256:" + hex.EncodeToString(s[:])
}

// diverged is an agent that says over MQTT that it has one manual and over gossip
// that it has another, for longer than a change of manuals explains: most likely
// two machines with one name.
func (a *agent) diverged(now time.Duration, gossiped string) []conflict.Claim {
	if gossiped == "" || a.view.State == nil {
		return nil
	}
	if !a.member || strings.HasPrefix(strings.TrimPrefix(a.view.State.ManualHash, "sha256:"), gossiped) {
		a.parted = 0
		return nil
	}
	switch {
	case a.parted == 0:
		a.parted = max(now, 1)
		return nil
	case now-a.parted < divergedFor:
		return nil
	}
	a.parted = now - divergedFor + divergedAgain
	return []conflict.Claim{{
		Detail: conflict.Detail{Type: conflict.ContextDivergence}, Source: a.view.Name, Subject: "manual of " + a.view.Name,
		Expected: a.view.State.ManualHash, Received: "sha256:" + gossiped + "...",
	}}
}
