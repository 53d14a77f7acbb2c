package mesh

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestIDsIncrease: also within a millisecond, from several goroutines, and when
// the clock steps back.
func TestIDsIncrease(t *testing.T) {
	ids := NewIDs(entropy())
	last := ""
	for i := range 1000 {
		id, err := ids.Next(noon.Add(-time.Duration(i) * time.Second))
		if err != nil || id <= last || !ValidID(id) {
			t.Fatalf("%d: %q after %q, %v", i, id, last, err)
		}
		last = id
	}
	var mutex sync.Mutex
	seen := map[string]bool{}
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for range 200 {
				id, err := ids.Next(noon)
				mutex.Lock()
				if err != nil || seen[id] || id <= last {
					t.Errorf("%q: %v", id, err)
				}
				seen[id] = true
				mutex.Unlock()
			}
		})
	}
	group.Wait()
}

func TestIDBeforeEpoch(t *testing.T) {
	for _, err := range []error{second(NewID(time.Unix(-1, 0), entropy())), second(NewIDs(entropy()).Next(time.Time{}))} {
		if err == nil || !strings.Contains(err.Error(), "set the clock") {
			t.Errorf("have %v", err)
		}
	}
}

func second(_ string, err error) error { return err }

func TestTopics(t *testing.T) {
	topic := Topic("gallery-east", "bot-1", KindRuling)
	if topic != "dancer/v1/gallery-east/bot-1/ruling" {
		t.Error(topic)
	}
	cell, agent, kind, err := ParseTopic(topic)
	if err != nil || cell != "gallery-east" || agent != "bot-1" || kind != KindRuling {
		t.Error(cell, agent, kind, err)
	}
	if _, agent, _, err := ParseTopic("dancer/v1/east/_conductor/connection"); err != nil || agent != ConductorAgent {
		t.Error(agent, err)
	}
	if f := Filter("east", AnyName, KindAck); f != "dancer/v1/east/+/ack" {
		t.Error(f)
	}
	for _, bad := range []string{"", "dancer/v1", "dancer/v2/a/b/ack", "dancer/v1/a/b", "dancer/v1/a/b/ack/c", "dancer/v1/+/b/ack", "dancer/v1/a/#/ack",
		"dancer/v1/a/_other/ack", "dancer/v1/a/b/song", "dancer/v1//b/ack", "dancer/v1/a/b\x00/ack"} {
		if _, _, _, err := ParseTopic(bad); err == nil {
			t.Errorf("%q accepted", bad)
		}
	}
}

func TestNames(t *testing.T) {
	for _, good := range []string{"a", "9", "Gallery-Bot_1.b", strings.Repeat("x", MaxNameBytes)} {
		if err := ValidName(good); err != nil {
			t.Error(err)
		}
	}
	for _, bad := range []string{"", " ", "a b", "a/b", "+", "#", "_a", "-a", ".a", "ä", "a\n", strings.Repeat("x", MaxNameBytes+1)} {
		if err := ValidName(bad); !errors.Is(err, ErrName) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	for sender, ok := range map[string]bool{"_conductor": true, ConductorMember("east"): true, "bot": true, "_conductor-": false, "_bot": false} {
		if err := ValidSender(sender); (err == nil) != ok {
			t.Errorf("%q: %v", sender, err)
		}
	}
}

func TestTrinary(t *testing.T) {
	var zero Trinary
	if zero != Transit || Ready+Conflict != Transit || Ready.String()+Transit.String()+Conflict.String()+Trinary(2).String() != "readytransitconflictinvalid" {
		t.Error(Ready, Transit, Conflict, Trinary(2))
	}
}

// FuzzTopic: what ParseTopic accepts is what Topic makes.
func FuzzTopic(f *testing.F) {
	f.Add("dancer/v1/east/bot/ack")
	f.Fuzz(func(t *testing.T, topic string) {
		cell, agent, kind, err := ParseTopic(topic)
		if err == nil && Topic(cell, agent, kind) != topic {
			t.Fatalf("%q became %q", topic, Topic(cell, agent, kind))
		}
	})
}
