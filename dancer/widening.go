package dancer

// Widening is what the model's error adds to the manual's disturbances. It is a
// value: it is never changed once made, so that decisions can hold on to it.
type Widening struct {
	Version uint64             `json:"version"` // one more with every change
	Ranges  []DisturbanceRange `json:"ranges"`  // those wider than the manual's, in its order
}

// DisturbanceRange is the range of one signal's disturbance per model step, in
// the signal's unit.
type DisturbanceRange struct {
	Signal  string  `json:"signal"`
	Minimum float64 `json:"minimum"`
	Maximum float64 `json:"maximum"`
}

// wideningLimit is how many times as wide as declared a disturbance may become.
// What is still outside says that the model is wrong, and no width mends that.
const wideningLimit = 10

// limits of the widened range of a disturbance: as much on either side of its
// middle.
func (d *Disturbance) limits() (lowest, highest float64) {
	width := d.Maximum - d.Minimum
	middle := d.Minimum + float64(width*0.5)
	reach := float64(width * wideningLimit * 0.5)
	return middle - reach, middle + reach
}

// hull gives the disturbance with a range that holds the given one as well, as
// far as the limits allow. It is never narrower than declared; a bound that is
// not a number counts for nothing.
func (d *Disturbance) hull(minimum, maximum float64) Disturbance {
	lowest, highest := d.limits()
	wide := *d
	if minimum < wide.Minimum {
		wide.Minimum = max(minimum, lowest)
	}
	if maximum > wide.Maximum {
		wide.Maximum = min(maximum, highest)
	}
	return wide
}

// widening gives the part of w that acts on this manual; nil when none does.
func (m *Manual) widening(w *Widening) *Widening {
	if w == nil {
		return nil
	}
	out := &Widening{Version: w.Version}
	for i := range m.Model.Disturbance {
		d := &m.Model.Disturbance[i]
		if wide := m.widen(d, w); wide != *d {
			out.Ranges = append(out.Ranges, DisturbanceRange{m.Signals[d.Signal].Name, wide.Minimum, wide.Maximum})
		}
	}
	if len(out.Ranges) == 0 {
		return nil
	}
	return out
}

func (m *Manual) widen(d *Disturbance, w *Widening) Disturbance {
	for i := range w.Ranges {
		if r := &w.Ranges[i]; r.Signal == m.Signals[d.Signal].Name {
			return d.hull(r.Minimum, r.Maximum)
		}
	}
	return *d
}

// widened gives the manual with the widened disturbances: itself, or a shallow
// copy whose model alone differs.
func (m *Manual) widened(w *Widening) *Manual {
	if w == nil {
		return m
	}
	wide := *m
	wide.Model.Disturbance = make([]Disturbance, len(m.Model.Disturbance))
	for i := range m.Model.Disturbance {
		wide.Model.Disturbance[i] = m.widen(&m.Model.Disturbance[i], w)
	}
	return &wide
}
