package hal

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Sweep says how the points of a turning laser scanner become signals. The zero value
// is eight sectors, the device's zero in front, and no value where nothing is seen.
type Sweep struct {
	// Sectors is into how many equal parts the turn is cut, 1 to MaxSectors; 0 is
	// DefaultSectors. Sector 0 has its middle in front, the others follow as the
	// device counts its angles (clockwise from above on LD06, LD19 and RPLIDAR).
	Sectors int
	// Front is the angle, as the device counts, that points to the robot's front, in
	// degrees from 0 to 360.
	Front float64
	// NoEcho is what a sector reads as, in metres, in which nothing sent the light
	// back: all that is there is out of range, or too black, too near, or behind a
	// covered lens. 0: it is NaN, because nobody knows which.
	NoEcho float64
}

// How many sectors a turn has.
const (
	DefaultSectors = 8  // 45 degrees each
	MaxSectors     = 72 // 5 degrees each, the widest gap between two points that is none
)

// maxGap is the widest step between two points, in degrees, after which the turn
// still has no hole: at their slowest sampling the devices have one a degree.
const maxGap = 5

// names of the fields that are not of one sector.
const (
	sweepNearest = "nearest" // m: the nearest of all sectors
	sweepBearing = "bearing" // deg: where that is, from 0 in front as the device counts
	sweepSector  = "sector."
)

// What a wanted field is; from 0 it is a sector.
const (
	wantNearest = -1 - iota
	wantBearing
	wantSpeed
)

func (s Sweep) check() (Sweep, error) {
	if s.Sectors == 0 {
		s.Sectors = DefaultSectors
	}
	switch {
	case s.Sectors < 1 || s.Sectors > MaxSectors:
		return s, framingError("%d sectors: give 1 to %d", s.Sectors, MaxSectors)
	case !(s.Front >= 0 && s.Front <= 360):
		return s, framingError("front at %v degrees: give 0 to 360", s.Front)
	case !(s.NoEcho >= 0 && s.NoEcho <= 1000):
		return s, framingError("no_echo of %v m: give up to 1000", s.NoEcho)
	}
	return s, nil
}

// fields lists the fields that a sweep gives.
func (s Sweep) fields() []KnownField {
	if s.Sectors == 0 {
		s.Sectors = DefaultSectors
	}
	var list []KnownField
	for i := range min(max(s.Sectors, 0), MaxSectors) {
		list = append(list, KnownField{sweepSector + strconv.Itoa(i), "m"})
	}
	return append(list, KnownField{sweepNearest, "m"}, KnownField{sweepBearing, "deg"})
}

// cutNumber takes the number off a name such as "sector.3"; -1 if there is none.
func cutNumber(name, prefix string) int {
	text, found := strings.CutPrefix(name, prefix)
	n, err := strconv.Atoi(text)
	if !found || err != nil || strconv.Itoa(n) != text { // neither "+3" nor "03"
		return -1
	}
	return n
}

// sector is what one part of the turn has said.
type sector struct {
	distance float64 // of the nearest point, in metres; NaN: nothing is known, or nothing seen
	bearing  float64 // of that point; NaN where there is none
	known    bool    // it was swept whole since the start
	fresh    bool    // it was, since nearest was last told
}

// sweeper gathers points. A sector is told when it has been swept whole, and in
// between as soon as a point is nearer than what it said last: what comes near is told
// at once, what goes away when it is certain. A sweep with a hole in it (a damaged
// packet) never makes a sector's distance greater, nor fresh.
type sweeper struct {
	Sweep
	wanted  []int
	width   float64 // of a sector, in degrees
	sectors []sector

	started bool
	last    float64 // angle of the point before, from the beginning of sector 0
	at      int     // sector that is being swept
	whole   bool    // from its beginning and without a hole
	nearest float64 // in it so far; infinite: none
	bearing float64
	told    float64 // nearest of all sectors as it was told last; NaN: not, or not known
}

// newSweeper resolves the wanted fields; more are those that the device has besides.
func newSweeper(framing string, fields []string, s Sweep, known []KnownField) (*sweeper, error) {
	s, err := s.check()
	if err != nil {
		return nil, fmt.Errorf("%w, for %s", err, framing)
	}
	w := &sweeper{Sweep: s, wanted: make([]int, len(fields)), width: 360 / float64(s.Sectors), sectors: make([]sector, s.Sectors)}
	for i, f := range fields {
		if indexOfField(known, f) < 0 {
			return nil, unknownField(framing, f, known)
		}
		switch f {
		case sweepNearest:
			w.wanted[i] = wantNearest
		case sweepBearing:
			w.wanted[i] = wantBearing
		case ld06Speed:
			w.wanted[i] = wantSpeed
		default:
			w.wanted[i] = cutNumber(f, sweepSector)
		}
	}
	w.reset()
	return w, nil
}

func (w *sweeper) reset() {
	w.started, w.told = false, math.NaN()
	for i := range w.sectors {
		w.sectors[i] = sector{distance: math.NaN(), bearing: math.NaN()}
	}
}

// point takes the next point: where the device looked, in degrees, and how far it saw,
// in metres; 0: there was no echo. It says whether a field was put.
func (w *sweeper) point(angle, distance float64, out *fields) (told bool) {
	place := turn(angle - w.Front + float64(w.width/2))
	step := turn(place - w.last)
	back := step > 360-maxGap // angles jitter: a small step back is none
	if back {
		place, step = w.last, 0
	}
	next := min(int(place/w.width), len(w.sectors)-1)
	switch {
	case !w.started || step > maxGap:
		told = w.started && w.finish(false, out)
		w.begin(next, false)
	case next != w.at || place < w.last: // the second is a turn of a single sector
		told = w.finish(w.whole, out)
		w.begin(next, true)
	}
	w.started, w.last = true, place
	if distance > 0 && distance < w.nearest {
		w.nearest, w.bearing = distance, turn(angle-w.Front)
		told = w.approach(out) || told
	}
	return told
}

// turn brings an angle between 0 and 360 degrees.
func turn(angle float64) float64 {
	switch {
	case angle >= 0 && angle < 360:
		return angle
	case angle >= 360 && angle < 720:
		return angle - 360
	}
	if angle = math.Mod(angle, 360); angle < 0 {
		angle += 360 // rounds up to 360 for the tiniest
	}
	return angle
}

func (w *sweeper) begin(next int, whole bool) {
	w.at, w.whole, w.nearest, w.bearing = next, whole, math.Inf(1), math.NaN()
}

// approach tells a sector that has something nearer in it than it said.
func (w *sweeper) approach(out *fields) bool {
	s := &w.sectors[w.at]
	if !s.known || s.distance <= w.nearest { // false where it is NaN: anything is nearer
		return false
	}
	s.distance, s.bearing = w.nearest, w.bearing
	w.tell(w.at, out)
	w.tellNearest(out, false)
	return true
}

// finish ends the sector that is being swept.
func (w *sweeper) finish(whole bool, out *fields) bool {
	s := &w.sectors[w.at]
	if !whole {
		return false // what came nearer was told
	}
	s.distance, s.bearing = w.nearest, w.bearing
	if math.IsInf(w.nearest, 1) {
		s.distance = math.NaN()
		if w.NoEcho > 0 {
			s.distance = w.NoEcho
		}
	}
	s.known, s.fresh = true, true
	w.tell(w.at, out)
	w.tellNearest(out, true)
	return true
}

func (w *sweeper) tell(at int, out *fields) {
	for i, f := range w.wanted {
		if f == at {
			out.put(i, w.sectors[at].distance)
		}
	}
}

// tellNearest tells the nearest of all sectors, which is as old as the oldest of them:
// at the end of a sector when all have been swept since it was told last, and in
// between when something came nearer.
func (w *sweeper) tellNearest(out *fields, end bool) {
	best := sector{distance: math.Inf(1), bearing: math.NaN()}
	for i := range w.sectors {
		s := &w.sectors[i]
		if !s.known || end && !s.fresh {
			return
		}
		if math.IsNaN(s.distance) {
			best = *s
			break
		}
		if s.distance < best.distance {
			best = *s
		}
	}
	if !end && !(best.distance < w.told) {
		return
	}
	for i := range w.sectors {
		w.sectors[i].fresh = w.sectors[i].fresh && !end
	}
	w.told = best.distance
	for i, f := range w.wanted {
		switch f {
		case wantNearest:
			out.put(i, best.distance)
		case wantBearing:
			out.put(i, best.bearing)
		}
	}
}
