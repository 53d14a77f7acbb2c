package report

import "dancer/mesh/fleet"

// maxSpans is how many points of the breakers are drawn and listed.
const maxSpans = 60

// spans gives the breakers' counts in at most maxSpans points: where there are more,
// the run is cut into as many spans, and each shows the most that was open in it.
func spans(r *fleet.Report) []fleet.BreakerPoint {
	if len(r.Breakers) <= maxSpans || r.Duration <= 0 {
		return r.Breakers
	}
	var list []fleet.BreakerPoint
	width := r.Duration / maxSpans
	next := 0
	var now fleet.BreakerPoint
	for i := range maxSpans {
		most := now
		most.At = fleet.Millis(float64(width) * float64(i))
		for ; next < len(r.Breakers) && (r.Breakers[next].At < most.At+width || i == maxSpans-1); next++ {
			now = r.Breakers[next]
			most.Cluster, most.Sector, most.Global = max(most.Cluster, now.Cluster), max(most.Sector, now.Sector), max(most.Global, now.Global)
		}
		if n := len(list); n == 0 || list[n-1].Cluster != most.Cluster || list[n-1].Sector != most.Sector || list[n-1].Global != most.Global {
			list = append(list, most)
		}
	}
	return list
}
