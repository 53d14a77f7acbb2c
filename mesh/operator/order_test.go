package operator_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"dancer/mesh/operator"
)

// TestOrdersThatMakeNoSense: each is refused with words that say what is wrong.
func TestOrdersThatMakeNoSense(t *testing.T) {
	four := uint8(4)
	for name, c := range map[string]struct {
		order operator.Order
		want  string
	}{
		"no kind":      {operator.Order{By: "t"}, "no such order"},
		"other kind":   {operator.Order{Kind: "explode", By: "t"}, "no such order \"explode\""},
		"no text":      {operator.Order{Kind: operator.Broadcast, By: "t", Text: " "}, "there is no text"},
		"text":         {operator.Order{Kind: operator.Heal, By: "t", Text: "x"}, "takes no text"},
		"nobody":       {operator.Order{Kind: operator.Heal}, "nobody orders it"},
		"class":        {operator.Order{Kind: operator.Ask, By: "t", Text: "x", Class: "G"}, "no class \"G\""},
		"priority":     {operator.Order{Kind: operator.Ask, By: "t", Text: "x", Priority: &four}, "priority 4"},
		"past":         {operator.Order{Kind: operator.Broadcast, By: "t", Text: "x", In: -1}, "T in -1ns"},
		"far":          {operator.Order{Kind: operator.Broadcast, By: "t", Text: "x", In: time.Hour}, "T in 1h"},
		"pattern":      {operator.Order{Kind: operator.Broadcast, By: "t", Text: "x", Pattern: "flood"}, "no pattern"},
		"sample":       {operator.Order{Kind: operator.Ask, By: "t", Text: "x", Sample: 1001}, "a sample of 1001"},
		"weight":       {operator.Order{Kind: operator.Ask, By: "t", Text: "x", Weight: -1}, "weight -1"},
		"deadline":     {operator.Order{Kind: operator.Delegate, By: "t", Text: "x", Deadline: time.Hour}, "a deadline of 1h"},
		"not its own":  {operator.Order{Kind: operator.Freeze, By: "t", Class: "A"}, "it has no class"},
		"not its own2": {operator.Order{Kind: operator.Ask, By: "t", Text: "x", Confirm: true}, "it has no confirm"},
		"long text":    {operator.Order{Kind: operator.Ask, By: "t", Text: strings.Repeat("x", 5000)}, "a text of 5000 bytes"},
		"long name":    {operator.Order{Kind: operator.Heal, By: strings.Repeat("x", 500)}, "the name"},
		"escape":       {operator.Order{Kind: operator.Heal, By: "t\x1b[2J"}, "the name"},
		"escape text":  {operator.Order{Kind: operator.Ask, By: "t", Text: "\x1b[2J"}, "control characters"},
		"max score":    {operator.Order{Kind: operator.Delegate, By: "t", Text: "x", MaxScore: 1000}, "an impedance of 1000"},
	} {
		err := c.order.Validate()
		if !errors.Is(err, operator.ErrInvalid) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, class := range []string{"A", "f", "gpu", "CLASS_D_GPU", "class_e", "Local"} {
		if !operator.IsClass(class) {
			t.Errorf("%s is a class", class)
		}
	}
}

// TestRefusals: places that are not there, and what is too much at a time.
func TestRefusals(t *testing.T) {
	b := newBench(t, nil)
	for _, c := range []struct {
		order operator.Order
		cause error
		want  string
	}{
		{operator.Order{Kind: operator.Broadcast, Text: "x", Scope: "sector-2"}, operator.ErrUnknown, "sector-0 to sector-1"},
		{operator.Order{Kind: operator.Broadcast, Text: "x", Scope: "agent-2"}, operator.ErrInvalid, "dancer delegate"},
		{operator.Order{Kind: operator.Broadcast, Text: "x", Class: "F"}, operator.ErrInvalid, "nobody of class F is counted"},
		{operator.Order{Kind: operator.Broadcast, Text: "x", In: 100 * time.Millisecond}, operator.ErrInvalid, "too soon"},
		{operator.Order{Kind: operator.Freeze, Scope: "agent-2"}, operator.ErrInvalid, "dancer stop"},
		{operator.Order{Kind: operator.Ask, Text: "x", Capability: "fly"}, operator.ErrUnknown, "there are mesh, edge"},
		{operator.Order{Kind: operator.Ask, Text: "x", Class: "F"}, operator.ErrNobody, "no agent that fits"},
	} {
		c.order.By = "t"
		if _, err := b.desk.Start(c.order); !errors.Is(err, c.cause) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v", c.order, err)
		}
	}
	var last error
	for range 20 {
		if _, last = b.desk.Start(operator.Order{Kind: operator.Delegate, Text: "x", By: "t"}); last != nil {
			break
		}
	}
	if !errors.Is(last, operator.ErrBusy) {
		t.Errorf("%v", last)
	}
	if n := len(b.desk.Operations()); n < 8 || n > 16 { // as many as the best leads take, and no more than are kept
		t.Errorf("%d operations", n)
	}
}
