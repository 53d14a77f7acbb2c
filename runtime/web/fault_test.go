package web

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"dancer/mesh"
)

const reportOnlyFault = "report-only: the brain died 3 times in a row, the last time with exit code 3; restart dancer run"

// TestStatusTellsFaults: a conductor's status names the robots that cannot be
// started, no more of them than anybody reads.
func TestStatusTellsFaults(t *testing.T) {
	h := newHall(t)
	h.take("gallery-bot-1", mesh.KindState, mesh.State{Robot: "gallery-bot-1", Cell: cell, Mode: "report-only", Fault: reportOnlyFault})
	h.take("gallery-bot-2", mesh.KindState, mesh.State{Robot: "gallery-bot-2", Cell: cell, Mode: "safe"})
	if got := h.desk.Status().Problems; len(got) != 1 || got[0] != "gallery-bot-1: "+reportOnlyFault {
		t.Errorf("problems %q", got)
	}
	for i := range 20 {
		name := "loop-bot-" + string(rune('a'+i))
		h.take(name, mesh.KindState, mesh.State{Robot: name, Cell: cell, Mode: "report-only", Fault: reportOnlyFault})
	}
	if got := h.desk.Status().Problems; len(got) != shownProblems {
		t.Errorf("%d problems, want %d", len(got), shownProblems)
	}
	h.take("gallery-bot-1", mesh.KindState, mesh.State{Robot: "gallery-bot-1", Cell: cell, Mode: "safe"})
	for _, problem := range h.desk.Status().Problems {
		if strings.HasPrefix(problem, "gallery-bot-1:") {
			t.Errorf("a fault that is over is still told: %q", problem)
		}
	}
}

// TestPageSaysWhyARobotDoesNotMove: the card of a report-only robot says why, and
// has no button that would be refused.
func TestPageSaysWhyARobotDoesNotMove(t *testing.T) {
	ctx := browser(t)
	h := newHall(t)
	h.take("gallery-bot-1", mesh.KindState, mesh.State{Robot: "gallery-bot-1", Cell: cell, Mode: "report-only", Lease: "live", Fault: reportOnlyFault + " <b>"})
	server := h.serve("")
	const card = "#agent-" + cell + "-gallery-bot-1"
	run(t, ctx, size(1440, 900), chromedp.Navigate(server.URL), until(`document.querySelector("`+card+` .fault")?.hidden === false`))
	if said := js[string](t, ctx, `document.querySelector("`+card+` .fault").textContent`); said != reportOnlyFault+" <b>" {
		t.Errorf("the card says %q", said)
	}
	if hidden := js[bool](t, ctx, `document.querySelector("`+card+` .start").hidden`); !hidden {
		t.Error("a robot that cannot be started can be started")
	}
	banner := js[string](t, ctx, `document.getElementById("banner").textContent`)
	if !strings.Contains(banner, "gallery-bot-1: report-only") {
		t.Errorf("the banner says %q", banner)
	}
	h.take("gallery-bot-1", mesh.KindState, mesh.State{Robot: "gallery-bot-1", Cell: cell, Mode: "safe", Lease: "live"})
	run(t, ctx, until(`document.querySelector("`+card+` .fault").hidden && !document.querySelector("`+card+` .start").hidden`))
}
