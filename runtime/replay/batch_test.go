package replay

import (
	"encoding/json"
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"dancer/hal"
	"dancer/runtime/record"
)

// TestQuickReading: the quick way to read a reading says what the slow one does,
// or gives up.
func TestQuickReading(t *testing.T) {
	w := &maker{signals: map[string]int{"range": 0, "smoke": 1}}
	rapid.Check(t, func(t *rapid.T) {
		m := record.Reading{
			Monotonic: time.Duration(rapid.Int64().Draw(t, "monotonic")),
			At:        time.Duration(rapid.Int64().Draw(t, "at")),
			Name:      rapid.SampledFrom([]string{"range", "smoke", "other", `with "quotes"`, ""}).Draw(t, "name"),
			Validity:  rapid.SampledFrom([]string{hal.Valid.String(), hal.Stale.String(), `\`}).Draw(t, "validity"),
			End:       rapid.Bool().Draw(t, "end"),
			Kind:      rapid.SampledFrom([]string{"", "overtook"}).Draw(t, "kind"),
		}
		if rapid.Bool().Draw(t, "number") {
			x := rapid.Float64().Draw(t, "value")
			m.Value = &x
		}
		data, err := json.Marshal(m)
		if err != nil {
			t.Skip("not a number of JSON")
		}
		var quick, slow reading
		if err := w.slow(data, &slow); err != nil {
			t.Fatal(err)
		}
		if w.quick(data, &quick) && (quick != slow && !(math.IsNaN(quick.value) && math.IsNaN(slow.value))) {
			t.Fatalf("%s: %+v, slowly %+v", data, quick, slow)
		}
	})
	var got reading
	usual := []byte(`{"monotonic":12,"at":11,"name":"smoke","value":1.25,"validity":"valid","end":true}`)
	if want := (reading{is: true, end: true, slot: 1, now: 12, value: 1.25}); !w.quick(usual, &got) || got != want {
		t.Errorf("%s is %+v", usual, got)
	}
}

// FuzzReading: a reading of any spelling is read or refused.
func FuzzReading(f *testing.F) {
	f.Add([]byte(`{"monotonic":12,"at":11,"name":"smoke","value":1.25,"validity":"valid","end":true}`))
	f.Add([]byte(`{"monotonic":12,"at":11,"name":"smoke","validity":"stale","kind":"overtook"}`))
	f.Add([]byte(`{"monotonic":-1}`))
	w := &maker{signals: map[string]int{"smoke": 1}}
	f.Fuzz(func(t *testing.T, data []byte) {
		var quick, slow reading
		if !w.quick(data, &quick) {
			return
		}
		if err := w.slow(data, &slow); err == nil && quick != slow && !math.IsNaN(quick.value) {
			t.Fatalf("%q: %+v, slowly %+v", data, quick, slow)
		}
	})
}
