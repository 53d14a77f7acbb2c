package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"dancer/mesh"
)

// TestEndToEndDemoHeadless is the README's first command as a machine runs it.
func TestEndToEndDemoHeadless(t *testing.T) {
	w := newWorld(t)
	p := w.start("demo", "--headless", "--for", "20s")
	if code := p.wait(90 * time.Second); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	if out := p.stdout.String(); !strings.Contains(out, "dashboard: http://127.0.0.1:") || !strings.Contains(out, "extinguish") {
		t.Errorf("it does not tell what happened:\n%s", out)
	}
}

// runDemo starts the demo and gives the URLs of its dashboard and of the asking
// robot's own page, and the open question.
func runDemo(w *world) (url, page string, q question) {
	w.Helper()
	p := w.start("demo", "--for", "4m")
	address := regexp.MustCompile(`dashboard: (http://(\S+))`)
	w.until(60*time.Second, "the URL of the dashboard", func() bool {
		return address.MatchString(p.stdout.String()) || p.ended()
	})
	found := address.FindStringSubmatch(p.stdout.String())
	if found == nil {
		w.Fatal("the demo ended")
	}
	w.until(60*time.Second, "an open question of the robot in the gas", func() bool {
		for _, open := range w.questions(found[2], "open") {
			if open.Robot == "gallery-bot-2" {
				q = open
			}
		}
		return q.ID != ""
	})
	w.until(60*time.Second, "the extinguishing", func() bool {
		return strings.Contains(p.stdout.String(), "extinguish")
	})
	own := regexp.MustCompile(`why gallery-bot-2 .* --robot (http://\S+)`).FindStringSubmatch(p.stdout.String())
	if own == nil {
		w.Fatalf("the demo does not say how to ask a robot why: %s", p.stdout)
	}
	return found[1], own[1], q
}

// extinguishing is true while the page shows the fire (smoke of 100 ppm or more)
// and the first robot putting it out. The scenario comes round every 40 s.
const extinguishing = `[...document.querySelectorAll("#agent-list > *")].some(card => {
	const text = card.innerText, smoke = /smoke\s+(\d+)/.exec(text)
	return text.includes("gallery-bot-1") && smoke && Number(smoke[1]) >= 100 &&
		/Runs\s+extinguish\b/.test(text) && /extinguisher\s+1\b/.test(text)
})`

// awaitExtinguishing waits until the page shows it. On a machine that stands still for
// longer than a lease, which runs a browser and other tests beside three robots, a robot
// stops as it should: then an operator starts it again.
func awaitExtinguishing(ctx context.Context, w *world, conductor string) (err error) {
	w.Helper()
	for range 5 {
		err = chromedp.Poll(extinguishing, nil, chromedp.WithPollingInterval(50*time.Millisecond), chromedp.WithPollingTimeout(45*time.Second)).Do(ctx)
		if !errors.Is(err, chromedp.ErrPollingTimeout) {
			return err
		}
		code, stdout, stderr := w.once("start", "gallery-bot-1", "--conductor", conductor)
		w.Logf("gallery-bot-1 is started again: exit code %d %s%s", code, stdout, stderr)
	}
	return err
}

// TestEndToEndDemoPage looks at the demo through a browser: the robots, the
// fire, the question with its picture. A ruling then closes the question and
// changes the robot's outputs, and the page shows that by itself.
func TestEndToEndDemoPage(t *testing.T) {
	w := newWorld(t)
	ctx := browser(w)
	url, page, q := runDemo(w)
	listen := strings.TrimPrefix(url, "http://")
	var agents, questions, value string
	var picture, bullet []byte
	var bullets int
	err := chromedp.Run(ctx,
		chromedp.EmulateViewport(1280, 1400),
		chromedp.Navigate(url),
		chromedp.WaitVisible("#agent-list svg.bullet", chromedp.ByQuery),
		chromedp.WaitVisible("#question-list svg.bullet", chromedp.ByQuery),
		chromedp.ActionFunc(func(ctx context.Context) error { return awaitExtinguishing(ctx, w, url) }),
		chromedp.Text("#agent-list", &agents, chromedp.ByQuery),
		chromedp.Text("#question-list", &questions, chromedp.ByQuery),
		chromedp.Evaluate(`document.querySelectorAll("#question-list svg.bullet").length`, &bullets),
		chromedp.AttributeValue("#question-list svg.bullet", "data-value", &value, nil, chromedp.ByQuery),
		chromedp.Screenshot("#question-list svg.bullet", &bullet, chromedp.ByQuery),
		chromedp.FullScreenshot(&picture, 100),
	)
	if err != nil {
		t.Fatalf("look at %s: %v", url, err)
	}
	for _, robot := range []string{"gallery-bot-1", "gallery-bot-2", "gallery-bot-3"} {
		if !strings.Contains(agents, robot) {
			t.Errorf("the page does not show %s: %s", robot, agents)
		}
	}
	for _, word := range []string{"gallery-bot-2", "halt", "ventilate"} {
		if !strings.Contains(strings.ToLower(questions), word) {
			t.Errorf("the question does not say %q: %s", word, questions)
		}
	}
	// Four values for each of at least two options, the highest first.
	if bullets < 8 || value != "human_safety" {
		t.Errorf("%d pictures of indices, the first of %q", bullets, value)
	}
	looksDark(t, picture)
	if n := colours(t, bullet); n < 3 {
		t.Errorf("the picture of an index has %d colours: it shows no bar, track and floor", n)
	}
	if at := os.Getenv("DANCER_SCREENSHOT"); at != "" {
		if err := os.WriteFile(at, picture, 0o644); err != nil {
			t.Fatal(err)
		}
	}

	if code, stdout, stderr := w.once("why", "--robot", page); code != 0 || !strings.Contains(stdout, "why: patrol is out") {
		t.Errorf("dancer why: exit %d: %s%s", code, stdout, stderr)
	}
	if got := w.state(listen, "gallery-bot-2").Outputs["ventilation"]; got != 0 {
		t.Fatalf("ventilation is %v before anybody ruled", got)
	}
	code, answer := w.post(url+"/api/v1/escalations/"+q.ID+"/ruling?wait=5s",
		map[string]string{"verdict": "approve", "option": "ventilate", "by": "head-of-security", "note": "the fan is far from the leak"})
	if code != http.StatusAccepted || !strings.Contains(answer, `"applied"`) {
		t.Fatalf("rule: %d %s", code, answer)
	}
	var state mesh.State
	w.until(20*time.Second, "the robot ventilates", func() bool {
		state = w.state(listen, "gallery-bot-2")
		return state.Outputs["ventilation"] == 1
	})
	w.until(20*time.Second, "the question is closed", func() bool {
		return !slices.ContainsFunc(w.questions(listen, "open"), func(o question) bool { return o.ID == q.ID })
	})
	var rulings string
	err = chromedp.Run(ctx,
		chromedp.WaitVisible("#ruling-list li", chromedp.ByQuery),
		chromedp.Text("#ruling-list", &rulings, chromedp.ByQuery))
	if err != nil || !strings.Contains(rulings, "head-of-security") {
		t.Errorf("the page does not show the ruling by itself: %v %q", err, rulings)
	}
}

// TestEndToEndDemoPageOnAPhone answers the question on a small screen with the
// keyboard alone.
func TestEndToEndDemoPageOnAPhone(t *testing.T) {
	w := newWorld(t)
	ctx := browser(w)
	url, _, _ := runDemo(w)
	var overflow bool
	err := chromedp.Run(ctx,
		chromedp.EmulateViewport(390, 844, chromedp.EmulateMobile),
		chromedp.Navigate(url),
		chromedp.WaitVisible("#question-list svg.bullet", chromedp.ByQuery),
		chromedp.Evaluate(`document.documentElement.scrollWidth > innerWidth + 1`, &overflow),
		chromedp.Focus("#by", chromedp.ByQuery),
		chromedp.KeyEvent("night-shift"),
	)
	if err != nil {
		t.Fatal(err)
	}
	if overflow {
		t.Error("the page is wider than a phone")
	}
	// Tab until a button that denies has the focus, then press it.
	const focused = `(document.activeElement.tagName === "BUTTON" && document.activeElement.textContent.trim().toLowerCase().startsWith("deny"))`
	reached := false
	for range 60 {
		if err := chromedp.Run(ctx, chromedp.KeyEvent("\t"), chromedp.Evaluate(focused, &reached)); err != nil {
			t.Fatal(err)
		}
		if reached {
			break
		}
	}
	if !reached {
		t.Fatal("no deny button within 60 tabs")
	}
	// The fire may ask as well, and its question may be the first on the page.
	var id string
	if err := chromedp.Run(ctx, chromedp.Evaluate(`document.activeElement.closest("article.question").id`, &id), chromedp.KeyEvent("\r")); err != nil {
		t.Fatal(err)
	}
	listen := strings.TrimPrefix(url, "http://")
	w.until(20*time.Second, "the ruling came home", func() bool { return w.home(listen, []string{strings.TrimPrefix(id, "question-")}) == 1 })
}

// browser starts Debian's chromium without a window.
func browser(w *world) context.Context {
	w.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		w.Skip("chromium is not installed (apt-get install chromium)")
	}
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]),
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-dev-shm-usage", true))
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	ctx, endProcess := chromedp.NewExecAllocator(ctx, options...)
	ctx, endPage := chromedp.NewContext(ctx)
	w.Cleanup(func() {
		_ = chromedp.Cancel(ctx) // waits for the browser's end
		endPage()
		endProcess()
		cancel()
	})
	if err := chromedp.Run(ctx); err != nil {
		w.Fatalf("start chromium: %v", err)
	}
	return ctx
}

func decode(t *testing.T, picture []byte) image.Image {
	t.Helper()
	img, err := png.Decode(bytes.NewReader(picture))
	if err != nil {
		t.Fatalf("read screenshot: %v", err)
	}
	return img
}

// colours counts the different colours of a picture.
func colours(t *testing.T, picture []byte) int {
	t.Helper()
	seen := map[color.Color]bool{}
	img := decode(t, picture)
	for y := img.Bounds().Min.Y; y < img.Bounds().Max.Y; y++ {
		for x := img.Bounds().Min.X; x < img.Bounds().Max.X; x++ {
			seen[img.At(x, y)] = true
		}
	}
	return len(seen)
}

// looksDark: a page for a dark room, with something on it.
func looksDark(t *testing.T, picture []byte) {
	t.Helper()
	img := decode(t, picture)
	var dark, bright, all int
	for y := img.Bounds().Min.Y; y < img.Bounds().Max.Y; y += 2 {
		for x := img.Bounds().Min.X; x < img.Bounds().Max.X; x += 2 {
			switch grey := color.GrayModel.Convert(img.At(x, y)).(color.Gray).Y; {
			case grey < 70:
				dark++
			case grey > 150:
				bright++
			}
			all++
		}
	}
	share := fmt.Sprintf("%d of %d points dark, %d bright", dark, all, bright)
	t.Log(share)
	if dark*10 < all*7 || bright*1000 < all {
		t.Errorf("the page does not look as it should: %s", share)
	}
}
