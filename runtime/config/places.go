package config

// Place is where something stands in a file.
type Place struct {
	File   string `json:"file"`
	Line   int    `json:"line"`   // 1-based
	Column int    `json:"column"` // 1-based, in characters
}

// Places says where the parts of a manual stand, in the order of dancer.Manual.
type Places struct{ Reflexes, Actions []Place }

// Places finds the reflexes and actions of the robot's manual in its file.
func (r *Robot) Places() Places {
	root := newReader(r.ManualPath).parse(r.ManualBytes)
	if root == nil {
		return Places{}
	}
	return Places{itemPlaces(r.ManualPath, root, "reflexes"), itemPlaces(r.ManualPath, root, "actions")}
}

func itemPlaces(file string, root *node, key string) []Place {
	var places []Place
	for _, e := range root.entries {
		if e.key.text != key {
			continue
		}
		for _, item := range e.value.items {
			places = append(places, Place{file, item.line, item.column})
		}
	}
	return places
}

// Switches says for each output of the manual whether only the two ends of its
// range are possible: a line without PWM.
func (r *Robot) Switches() []bool {
	switches := make([]bool, len(r.Drives))
	for i, d := range r.Drives {
		switches[i] = d.HasPin && d.PWM == 0
	}
	return switches
}

// RobotsOf lists the robot files in a manual's folder that name it.
func RobotsOf(manual string) []string { return robotsOf(manual) }
