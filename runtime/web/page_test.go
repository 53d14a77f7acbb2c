package web

import (
	"bytes"
	"context"
	"encoding/json"
	"image"
	"image/color"
	_ "image/png"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"dancer/mesh"
	"dancer/mesh/conductor"
)

// browser gives a page in headless Chromium, or skips when none is installed.
// Whatever the page writes to its console as an error fails the test: a refused
// script, style or connection is one.
func browser(t *testing.T) context.Context {
	t.Helper()
	ctx := quietBrowser(t)
	chromedp.ListenTarget(ctx, func(event any) {
		switch e := event.(type) {
		case *log.EventEntryAdded:
			if e.Entry.Level == log.LevelError {
				t.Errorf("console: %s %s", e.Entry.Text, e.Entry.URL)
			}
		case *runtime.EventExceptionThrown:
			t.Errorf("exception: %v", e.ExceptionDetails)
		}
	})
	return ctx
}

// quietBrowser is a browser whose console may complain: a 401 is an error there.
func quietBrowser(t *testing.T) context.Context {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("chromium is not installed (Debian: apt-get install chromium): the page was not driven")
	}
	profile, err := os.MkdirTemp("", "dancer-chromium-")
	if err != nil {
		t.Fatal(err)
	}
	options := []chromedp.ExecAllocatorOption{
		chromedp.ExecPath(path), chromedp.UserDataDir(profile), chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true), chromedp.Flag("disable-dev-shm-usage", true), chromedp.Flag("hide-scrollbars", true),
	}
	allocator, stop := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, cancel := chromedp.NewContext(allocator, chromedp.WithErrorf(func(string, ...any) {})) // it complains of events newer than itself
	ctx, end := context.WithTimeout(ctx, 60*time.Second)
	t.Cleanup(func() {
		_ = chromedp.Cancel(ctx) // in order; what is left is ended below
		end()
		cancel()
		stop()
		if err := os.RemoveAll(profile); err != nil {
			t.Logf("the browser still writes its profile: %v", err)
		}
	})
	return ctx
}

func run(t *testing.T, ctx context.Context, actions ...chromedp.Action) {
	t.Helper()
	if err := chromedp.Run(ctx, actions...); err != nil {
		t.Fatal(err)
	}
}

// until polls a JavaScript condition; the context's deadline ends it.
func until(condition string) chromedp.Action {
	return chromedp.PollFunction("() => Boolean("+condition+")", nil, chromedp.WithPollingTimeout(15*time.Second))
}

// js evaluates an expression.
func js[T any](t *testing.T, ctx context.Context, expression string) T {
	t.Helper()
	var value T
	run(t, ctx, chromedp.Evaluate(expression, &value))
	return value
}

func size(width, height int64) chromedp.Action {
	return emulation.SetDeviceMetricsOverride(width, height, 1, width < 640)
}

// shoot takes a picture of the whole page. DANCER_SCREENSHOTS names a folder to
// keep them in.
func shoot(t *testing.T, ctx context.Context, name string) image.Image {
	t.Helper()
	var data []byte
	run(t, ctx, chromedp.FullScreenshot(&data, 100))
	if folder := os.Getenv("DANCER_SCREENSHOTS"); folder != "" {
		if err := os.WriteFile(filepath.Join(folder, name+".png"), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	picture, _, err := image.Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return picture
}

// pixels counts the pixels of a colour.
func pixels(picture image.Image, c color.RGBA) int {
	n := 0
	b := picture.Bounds()
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			r, g, bl, _ := picture.At(x, y).RGBA()
			if uint8(r>>8) == c.R && uint8(g>>8) == c.G && uint8(bl>>8) == c.B {
				n++
			}
		}
	}
	return n
}

const loaded = `document.body.dataset.live === "live" && document.querySelectorAll(".question").length === 3 && document.querySelectorAll(".agent").length === 3`

func TestPageShowsAgentsAndQuestions(t *testing.T) {
	ctx := browser(t)
	h := newHall(t)
	gas, fire, calm := h.museum()
	server := h.serve("")
	run(t, ctx, size(1440, 900), chromedp.Navigate(server.URL), until(loaded))

	order := js[[]string](t, ctx, `[...document.querySelectorAll(".question")].map(q => q.dataset.key)`)
	if want := []string{fire.ID, gas.ID, calm.ID}; !slices.Equal(order, want) {
		t.Errorf("questions in the order %v, want the most severe first %v", order, want)
	}
	if open := js[string](t, ctx, `[...document.querySelectorAll(".question")].map(q => q.querySelector(".question-body").hidden).join()`); open != "false,true,true" {
		t.Errorf("hidden bodies %s, want the most severe question open alone", open)
	}
	card := "#question-" + gas.ID
	run(t, ctx, chromedp.Click(card+" .question-head"), until(`!document.querySelector("`+card+` .question-body").hidden`))
	first := js[string](t, ctx, `document.querySelector("`+card+`").innerText`)
	for _, want := range []string{"CRITICAL", "gallery-bot-2", "Why it asks", "Every option is under a floor", "Cannot be chosen", "human safety falls to 0.4 at worst, its floor is 5", "severe harm at worst", "No way back"} {
		if !strings.Contains(first, want) {
			t.Errorf("the question about gas does not say %q:\n%s", want, first)
		}
	}
	if left := js[string](t, ctx, `document.querySelector("`+card+` .clock").textContent`); left != "5:00" && !strings.HasPrefix(left, "4:5") {
		t.Errorf("time left %q, want about 5:00", left)
	}
	vetoed := js[[]string](t, ctx, `[...document.querySelectorAll("`+card+` input:disabled")].map(i => i.value)`)
	if !slices.Equal(vetoed, []string{"patrol"}) {
		t.Errorf("options that cannot be chosen: %v, want patrol alone", vetoed)
	}
	if bars := js[int](t, ctx, `document.querySelectorAll("`+card+` svg.bullet").length`); bars != 4*4 {
		t.Errorf("%d pictures of indices, want one for each of 4 options and 4 values", bars)
	}
	label := js[string](t, ctx, `document.querySelector('.option[data-option=ventilate] svg.bullet').getAttribute("aria-label")`)
	if label != "human safety: worst 2.6 of 10, expected 3.4, floor 5, broken; inaction worst 2.3" {
		t.Errorf("the picture says %q", label)
	}
	agents := js[string](t, ctx, `document.getElementById("agents").innerText`)
	for _, want := range []string{"gallery-bot-1", "running", "lease live", "latch: bump", "reflex: protective-stop", "humidity invalid", "lease expired", "smoke"} {
		if !strings.Contains(agents, want) {
			t.Errorf("the agents do not say %q:\n%s", want, agents)
		}
	}
	picture := shoot(t, ctx, "desktop-dark")
	for name, c := range map[string]color.RGBA{"worst case": {0x52, 0xc9, 0x93, 255}, "worst case under the floor": {0xff, 0x6b, 0x6b, 255}, "expected": {0x2b, 0x61, 0x49, 255}, "track": {0x2a, 0x33, 0x3d, 255}} {
		if n := pixels(picture, c); n < 400 {
			t.Errorf("%d pixels in the colour of %q, want some hundred", n, name)
		}
	}
	run(t, ctx, chromedp.Click("#theme"))
	picture = shoot(t, ctx, "desktop-light")
	if n := pixels(picture, color.RGBA{0xff, 0xff, 0xff, 255}); n < 100_000 {
		t.Errorf("%d white pixels in the light theme", n)
	}
}

// beyondPhone gives what can be seen and reaches beyond a phone of 360 px.
const beyondPhone = `[...document.querySelectorAll("body *")].filter(e => e.checkVisibility() && !e.closest("svg") && !e.matches(".sr, .skip") && (e.getBoundingClientRect().right > 360.5 || e.getBoundingClientRect().left < -0.5)).map(e => e.className + " " + e.textContent.slice(0, 40))`

func TestPageFitsAPhone(t *testing.T) {
	ctx := browser(t)
	h := newHall(t)
	h.museum()
	server := h.serve("")
	run(t, ctx, size(360, 740), chromedp.Navigate(server.URL), until(loaded))
	if wide := js[int](t, ctx, `document.documentElement.scrollWidth`); wide > 360 {
		t.Errorf("the page is %d px wide on a phone of 360", wide)
	}
	beyond := js[[]string](t, ctx, beyondPhone)
	if len(beyond) > 0 {
		t.Errorf("reaching beyond the phone's edge: %q", beyond)
	}
	small := js[[]string](t, ctx, `[...document.querySelectorAll("button, .jump a")].filter(e => e.checkVisibility() && e.getBoundingClientRect().height < 32).map(e => e.textContent)`)
	if len(small) > 0 {
		t.Errorf("too small for a finger: %q", small)
	}
	shoot(t, ctx, "phone-dark")
}

// TestPageSaysHowSureItIs: what a confidence rests on, options that the forecast
// cannot tell apart, disturbances that were widened, and how recording goes; all of
// it fits a phone.
func TestPageSaysHowSureItIs(t *testing.T) {
	ctx := browser(t)
	h := newHall(t)
	h.record = &Recording{Messages: 5000, Lost: 12, Sealed: 3}
	h.museum()
	data, err := os.ReadFile("testdata/calm.json")
	if err != nil {
		t.Fatal(err)
	}
	e := h.question("calm", "gallery-bot-3", "halt", "halt", "halt", "survey-vitrine", time.Hour)
	decision := map[string]any{}
	if err := json.Unmarshal(data, &decision); err != nil {
		t.Fatal(err)
	}
	verdict, _ := decision["verdict"].(map[string]any)
	verdict["confidence"] = 0.47
	verdict["confidence_parts"] = map[string]any{"separation": 0.8, "freshness": 0.75, "score": 0.6, "calibrated": 0.47}
	verdict["incomparable"] = []string{"halt", "survey-vitrine"}
	decision["calibration"] = map[string]any{"version": 34, "bins": []map[string]any{{"bin": 5, "outcomes": 30, "successes": 14, "score": 17}, {"bin": 9, "outcomes": 4, "successes": 4, "score": 3.9}}}
	decision["widening"] = map[string]any{"version": 2, "ranges": []map[string]any{{"signal": "range", "minimum": -0.02, "maximum": 0.055}}}
	if e.Decision, err = json.Marshal(decision); err != nil {
		t.Fatal(err)
	}
	e.Revision, e.Because = 2, []string{"halt and survey-vitrine are incomparable"}
	h.take("gallery-bot-3", mesh.KindEscalation, e)
	h.take("gallery-bot-3", mesh.KindState, mesh.State{Robot: "gallery-bot-3", Cell: cell, Mode: "running", Lease: "live", Recording: "stopped", At: time.Now().UTC()})
	server := h.serve("")
	card := `document.getElementById("question-` + e.ID + `")`
	run(t, ctx, size(360, 740), chromedp.Navigate(server.URL), until(card), chromedp.Evaluate(card+`.querySelector(".question-head").click()`, nil),
		until(card+`.innerText.includes("incomparable") && `+card+`.querySelector(".facts").innerText.includes("47")`))
	text := js[string](t, ctx, card+`.innerText.replace(/\s+/g, " ")`)
	for _, want := range []string{"47 % (forecast 60 %, 34 outcomes; freshness 75 %)", "cannot be told apart", "The model errs on range: the forecast allows for -0.02 to 0.055 a step."} {
		if !strings.Contains(text, want) {
			t.Errorf("the question does not say %q:\n%s", want, text)
		}
	}
	if n := strings.Count(text, "cannot be told apart"); n != 2 {
		t.Errorf("%d options cannot be told apart, want the two that the verdict names", n)
	}
	if said := js[string](t, ctx, `document.getElementById("recording").innerText + document.getElementById("agents").innerText`); !strings.Contains(said, "recording, 12 missing") || !strings.Contains(said, "recording stopped") {
		t.Errorf("how recording goes is not said:\n%s", said)
	}
	h.take("gallery-bot-3", mesh.KindEvent, Event{At: time.Now(), Kind: "model", Agent: "gallery-bot-3", Data: json.RawMessage(`{"signal":"range","declared":[-0.01,0.01],"widened":[-0.02,0.055],"capped":false,"why":"the model errs"}`)})
	run(t, ctx, until(`document.getElementById("activity-list").innerText.includes("widened -0.02 to 0.055")`))
	h.take("gallery-bot-3", mesh.KindEvent, Event{At: time.Now(), Kind: "reflex", Agent: "gallery-bot-3", Data: json.RawMessage(`{"rule":"protective-stop","active":false,"cause":"range","latency_ns":0}`)})
	run(t, ctx, until(`document.getElementById("activity-list").innerText.includes("reflex protective-stop, ends, cause range")`))
	if beyond := js[[]string](t, ctx, beyondPhone); len(beyond) > 0 {
		t.Errorf("reaching beyond the phone's edge: %q", beyond)
	}
	shoot(t, ctx, "phone-unsure")
}

// tabTo presses Tab until the focus is on what the condition says, and checks on
// the way that the focus can be seen.
func tabTo(t *testing.T, ctx context.Context, condition string) {
	t.Helper()
	for range 80 {
		run(t, ctx, chromedp.KeyEvent(kb.Tab))
		if js[bool](t, ctx, `(() => { const e = document.activeElement; return Boolean(`+condition+`) })()`) {
			visible := js[bool](t, ctx, `(() => { const e = document.activeElement; const shown = (x) => x && getComputedStyle(x).outlineStyle !== "none" && parseFloat(getComputedStyle(x).outlineWidth) >= 2; return shown(e) || shown(e.closest(".option")) })()`)
			if !visible {
				t.Errorf("the focus on %s cannot be seen", condition)
			}
			return
		}
	}
	t.Fatalf("Tab never reached %s; the focus is on %s", condition, js[string](t, ctx, `document.activeElement.outerHTML.slice(0, 200)`))
}

func TestRuleByKeyboard(t *testing.T) {
	ctx := browser(t)
	h := newHall(t)
	gas, _, _ := h.museum()
	server := h.serve("")
	run(t, ctx, size(1280, 900), chromedp.Navigate(server.URL), until(loaded))

	tabTo(t, ctx, `e.id === "by"`)
	run(t, ctx, chromedp.KeyEvent("Ada"))
	card := `document.getElementById("question-` + gas.ID + `")`
	tabTo(t, ctx, `e.classList.contains("question-head") && `+card+`.contains(e)`)
	run(t, ctx, chromedp.KeyEvent(kb.Enter))
	tabTo(t, ctx, `e.name === "option" && e.value === "ventilate"`)
	run(t, ctx, chromedp.KeyEvent(kb.ArrowUp)) // to the one before it that may be chosen
	if chosen := js[string](t, ctx, `document.activeElement.value`); chosen != "halt" {
		t.Fatalf("the arrow key chose %q", chosen)
	}
	// A newer revision of the question must not lose the choice or the focus.
	gas.Revision, gas.Because = 2, append(gas.Because, "gas rises")
	h.take("gallery-bot-2", mesh.KindEscalation, gas)
	run(t, ctx, until(card+`.innerText.includes("Gas rises")`))
	if chosen := js[string](t, ctx, `document.activeElement.value + " " + document.activeElement.checked`); chosen != "halt true" {
		t.Fatalf("after a revision the focus and choice are %q", chosen)
	}
	tabTo(t, ctx, `e.name === "note"`)
	run(t, ctx, chromedp.KeyEvent("no sparks from the fan"))
	tabTo(t, ctx, `e.value === "approve"`)
	if label := js[string](t, ctx, `document.activeElement.textContent`); label != "Approve: halt" {
		t.Errorf("the button says %q", label)
	}
	run(t, ctx, chromedp.KeyEvent(kb.Enter), until(`document.getElementById("ruling-list").innerText.includes("applied")`))

	log := js[string](t, ctx, `document.getElementById("ruling-list").innerText`)
	for _, want := range []string{"Ada", "approved", "halt", "gallery-bot-2", "no sparks from the fan", "applied"} {
		if !strings.Contains(log, want) {
			t.Errorf("the log does not say %q:\n%s", want, log)
		}
	}
	run(t, ctx, until(card+`.querySelector(".result").textContent !== "Sending…"`)) // its answer and the event are two ways
	if result := js[string](t, ctx, card+`.querySelector(".result").textContent`); !strings.HasPrefix(result, "Applied. Halt runs, approved by Ada.") {
		t.Errorf("the form says %q", result)
	}
	rulings := h.desk.Rulings()
	if len(rulings) != 1 || rulings[0].By != "Ada" || rulings[0].Option != "halt" || rulings[0].Ack == nil {
		t.Errorf("rulings: %+v", rulings)
	}
	shoot(t, ctx, "ruled")
	// The next question takes its place once the person moves on.
	tabTo(t, ctx, `e.classList.contains("question-head") && e.textContent.includes("gallery-bot-3")`)
	run(t, ctx, until(`document.querySelectorAll(".question").length === 2`))
}

func TestPageNeedsAName(t *testing.T) {
	ctx := browser(t)
	h := newHall(t)
	_, fire, _ := h.museum()
	server := h.serve("")
	run(t, ctx, size(1280, 900), chromedp.Navigate(server.URL), until(loaded), chromedp.Click(`#question-`+fire.ID+` button[value=deny]`), until(`document.activeElement.id === "by"`))
	if said := js[string](t, ctx, `document.querySelector(".question .result").textContent`); !strings.Contains(said, "Say who rules") {
		t.Errorf("it says %q", said)
	}
	if n := len(h.desk.Rulings()); n != 0 {
		t.Errorf("%d rulings by nobody", n)
	}
}

func TestPageTextOfPeersIsText(t *testing.T) {
	ctx := browser(t)
	h := newHall(t)
	h.museum()
	h.answers("gallery-bot-3", func(mesh.Ruling) mesh.Ack {
		return mesh.Ack{Outcome: conductor.AckVetoed, Why: `<img src=x onerror="document.title='owned'">`}
	})
	e := h.question("calm", "gallery-bot-3", "<b>halt</b>", "halt", "halt", "survey-vitrine", time.Hour)
	e.Revision, e.Because = 2, []string{`<script>document.title="owned"</script>`}
	h.take("gallery-bot-3", mesh.KindEscalation, e)
	server := h.serve("")
	run(t, ctx, size(1280, 900), chromedp.Navigate(server.URL), until(`document.querySelectorAll(".question").length === 4`))
	h.take("gallery-bot-3", mesh.KindEvent, map[string]string{"kind": "snapshot", "text": "x"})
	h.take("gallery-bot-3", mesh.KindEvent, map[string]string{"kind": "reflex", "rule": "<i>bump</i>"})
	if _, err := h.desk.Rule(ctx, e.ID, mesh.Ruling{Verdict: mesh.RuleDeny, By: "<u>Ada</u>", Note: "<s>x</s>"}); err != nil {
		t.Fatal(err)
	}
	run(t, ctx, until(`document.getElementById("ruling-list").innerText.includes("vetoed") && document.getElementById("activity-list").innerText.includes("<i>bump</i>")`))
	if marked := js[int](t, ctx, `document.querySelectorAll("main i, main u, main s, main img, main script, .headline b").length`); marked != 0 {
		t.Errorf("%d elements made of text", marked)
	}
	if title := js[string](t, ctx, `document.title`); strings.Contains(title, "owned") {
		t.Error("text of a peer ran as a script")
	}
	if n := js[int](t, ctx, `document.querySelectorAll(".question").length`); n != 4 {
		t.Errorf("%d questions after a robot's event named snapshot", n)
	}
}

func TestPageComesBack(t *testing.T) {
	ctx := browser(t)
	h := newHall(t)
	h.museum()
	server := h.serve("")
	run(t, ctx, size(1280, 900), chromedp.Navigate(server.URL), until(loaded))
	// A stream that fell behind is cut off; the page starts over by itself and
	// misses nothing.
	h.hub.mutex.Lock()
	for w := range h.hub.watchers {
		h.hub.remove(w)
	}
	h.hub.mutex.Unlock()
	run(t, ctx, until(`document.body.dataset.live !== "live"`))
	h.question("fire", "gallery-bot-1", "halt", "halt", "halt", "extinguish", time.Minute)
	run(t, ctx, until(`document.body.dataset.live === "live" && document.querySelectorAll(".question").length === 4`))
}

func TestPageAsksForTheToken(t *testing.T) {
	ctx := quietBrowser(t)
	h := newHall(t)
	h.museum()
	const token = "a-long-and-secret-token"
	server := h.serve(token)
	run(t, ctx, size(800, 700), chromedp.Navigate(server.URL), until(`document.getElementById("login").open`),
		chromedp.SendKeys("#token", "wrong"+kb.Enter), until(`document.getElementById("login-error").textContent.includes("the token is wrong")`))
	shoot(t, ctx, "login")
	run(t, ctx, chromedp.Evaluate(`document.getElementById("token").value = ""`, nil), chromedp.SendKeys("#token", token+kb.Enter), until(loaded))
	if cookie := js[string](t, ctx, `document.cookie`); cookie != "" {
		t.Errorf("scripts can read the session: %q", cookie)
	}
}
