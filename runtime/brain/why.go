package brain

import (
	"context"
	"errors"
	"net/http"
	"time"

	"dancer/dancer"
	"dancer/partner"
	"dancer/runtime/web"
	"dancer/storage"
)

// whyTime bounds the search for counter-factuals of one decision.
const whyTime = 5 * time.Second

// Why works out what would have had to be different for another verdict: in the
// request's goroutine, with a forecaster of its own, one request at a time. It
// rests after every decision for as long as that took, so that the robot's own
// decisions find the processor free.
func (p *page) Why(ctx context.Context, id string) (web.Why, bool, error) {
	d, err := p.b.archive.decisions.Get(id)
	if errors.Is(err, storage.ErrNotFound) {
		return web.Why{}, false, nil
	}
	if err != nil {
		return web.Why{}, false, err
	}
	if !p.explains.TryLock() {
		return web.Why{}, false, web.Problem{
			Type: "urn:dancer:problem:busy", Title: http.StatusText(http.StatusServiceUnavailable), Status: http.StatusServiceUnavailable,
			Detail: "explain decision " + id + ": another one is being explained", Hint: "ask again in a few seconds",
		}
	}
	defer p.explains.Unlock()
	ctx, cancel := context.WithTimeout(ctx, whyTime)
	defer cancel()
	var own partner.Partner
	decide := func(in dancer.Input) dancer.Decision {
		from := time.Now()
		again := dancer.Decide(p.b.manual, in, own.Corners, own.Forecast)
		rest(ctx, time.Since(from))
		return again
	}
	all, left, err := dancer.Counterfactuals(p.b.manual, &d, decide, func() bool { return ctx.Err() == nil })
	if err != nil {
		return web.Why{}, false, unexplained(id, err)
	}
	return web.Why{Decision: id, Manual: p.b.manual.Hash, Counterfactuals: all, LeftOut: left}, true, nil
}

func rest(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// unexplained says why there are no counter-factuals, and what to do.
func unexplained(id string, err error) web.Problem {
	p := web.Problem{
		Type: "urn:dancer:problem:not-repeated", Title: http.StatusText(http.StatusConflict), Status: http.StatusConflict,
		Detail: err.Error(), Hint: "another version of dancer made it, or its record was changed",
	}
	if errors.Is(err, dancer.ErrOtherManual) {
		p.Type = "urn:dancer:problem:other-manual"
		p.Hint = "keep the decision in a file (GET /api/v1/decisions/" + id + ") and give the robot's file of that time: dancer why --file DECISION.json --config ROBOT.yaml"
	}
	return p
}
