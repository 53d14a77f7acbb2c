package report

import (
	"strconv"
	"strings"
	"time"

	"dancer/mesh/fleet"
)

// titles are the KPIs in words, at most 27 characters.
var titles = map[string]string{
	fleet.KPICoordination:  "coordination success",
	fleet.KPIArrival:       "arrival window hit rate",
	fleet.KPIPrediction:    "prediction within 50 ms",
	fleet.KPIConflicts:     "conflict rate",
	fleet.KPIAvailability:  "mesh availability",
	fleet.KPICascade:       "cascade latency p95",
	fleet.KPIPath:          "cascade over slowest path",
	fleet.KPIClusterRepair: "recovery of a cluster",
	fleet.KPISectorRepair:  "recovery of a sector",
}

func title(k fleet.KPI) string {
	if t, ok := titles[k.Name]; ok {
		return t
	}
	return k.Name
}

// amount writes a value in the unit of its KPI: a share in percent, a time in ms or,
// from ten seconds on, in s.
func amount(v float64, unit string) string {
	if unit == "share" {
		return strconv.FormatFloat(float64(100*v), 'f', 2, 64) + " %"
	}
	if v >= 10_000 {
		return strconv.FormatFloat(v/1000, 'f', 1, 64) + " s"
	}
	return strconv.FormatFloat(v, 'f', 0, 64) + " ms"
}

func measured(k fleet.KPI) string {
	switch {
	case !k.Measured:
		return "-"
	case k.Unbounded:
		return "no end"
	}
	return amount(k.Value, k.Unit)
}

func target(k fleet.KPI) string {
	if k.AtLeast {
		return ">= " + amount(k.Target, k.Unit)
	}
	return "<= " + amount(k.Target, k.Unit)
}

func state(k fleet.KPI) string {
	switch {
	case !k.Measured:
		return "nothing to measure"
	case k.Met:
		return "met"
	}
	return "MISSED"
}

// span writes a time of the run: "1m30s".
func span(m fleet.Millis) string {
	return time.Duration(float64(m * 1e6)).Round(time.Millisecond).String()
}

// ms writes milliseconds without a fraction.
func ms(m fleet.Millis) string { return strconv.FormatFloat(float64(m), 'f', 0, 64) }

func number(n uint64) string { return strconv.FormatUint(n, 10) }

func count(n int32) string { return strconv.Itoa(int(n)) }

// plural writes "1 agent" and "2 agents".
func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return strconv.Itoa(n) + " " + word + "s"
}

// binName says what a bar of the arrival histogram holds.
func binName(b fleet.ArrivalBin) string {
	switch {
	case b.Open && b.From < 0:
		return "before " + ms(b.From)
	case b.Open:
		return "from " + ms(b.From)
	}
	return ms(b.From) + " to " + ms(b.To)
}

// wrap breaks a line at blanks before a width, and indents what follows.
func wrap(text string, width int, indent string) string {
	var b strings.Builder
	line := 0
	for i, word := range strings.Fields(text) {
		switch {
		case i == 0:
		case line+1+len(word) > width:
			b.WriteString("\n" + indent)
			line = len(indent)
		default:
			b.WriteByte(' ')
			line++
		}
		b.WriteString(word)
		line += len(word)
	}
	return b.String()
}

// summary is what every form begins with.
func summary(r *fleet.Report) string {
	return plural(int(r.Agents), "agent") + ", " + plural(int(r.Clusters), "cluster") + ", " + plural(int(r.Sectors), "sector") +
		", seed " + number(r.Seed) + ", " + span(r.Duration) + " simulated"
}

// verdict is the report in one sentence.
func verdict(r *fleet.Report) string {
	var met, missed, unknown int
	for _, k := range r.KPIs {
		switch {
		case !k.Measured:
			unknown++
		case k.Met:
			met++
		default:
			missed++
		}
	}
	text := plural(met, "indicator") + " met, " + strconv.Itoa(missed) + " missed"
	if unknown > 0 {
		text += ", " + strconv.Itoa(unknown) + " with nothing to measure"
	}
	return text
}
