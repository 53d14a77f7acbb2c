package spine

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"dancer/runtime/config"
)

// WiringFile is the copy of robot.yaml and its manual in the data folder, as the
// last run had them.
const WiringFile = "wiring.json"

// wiring is that file's content.
type wiring struct {
	Path       string `json:"path"`
	Board      string `json:"board"`
	Robot      []byte `json:"robot"`
	ManualPath string `json:"manual_path"`
	Manual     []byte `json:"manual"`

	Databases map[string][]byte `json:"databases,omitempty"` // of CAN buses
}

func wiringOf(folder string) *durable {
	return &durable{path: filepath.Join(folder, WiringFile)}
}

// keepWiring stores the files of a run, where they are not stored already.
func keepWiring(folder string, r *config.Robot) error {
	body, err := json.Marshal(wiring{r.Path, r.BoardName, r.Bytes, r.ManualPath, r.ManualBytes, r.Databases()})
	if err != nil {
		return err
	}
	d := wiringOf(folder)
	if now, _, err := d.read(); err == nil && string(now) == string(body) {
		return nil
	}
	if err := d.write(body); err != nil {
		return fmt.Errorf("keep a copy of the robot's files: %w", err)
	}
	return nil
}

// lastWiring gives the robot of the last run, nil if there is no copy.
func lastWiring(folder string) (*config.Robot, error) {
	body, _, err := wiringOf(folder).read()
	if err != nil || body == nil {
		return nil, err
	}
	var w wiring
	if err := json.Unmarshal(body, &w); err != nil {
		return nil, err
	}
	r, problems := config.LoadRecorded(w.Path, w.Robot, w.Manual, w.Board, w.Databases)
	return r, problems.Err()
}

// LeaveSafe is for a run that cannot begin, because its files have faults or
// something else that it needs is missing: where the run before it on the data
// folder did not end in order, it drives the outputs of that run safe and gives
// the devices back. done tells what was driven, "" if there was nothing to do.
// While another spine has the folder, nothing is touched.
func LeaveSafe(folder string) (done string, err error) {
	if _, err := os.Stat(folder); err != nil {
		return "", nil // nobody ever ran here
	}
	lock, err := lockFolder(folder)
	switch {
	case errors.Is(err, ErrFolderInUse):
		return "", nil
	case err == nil:
		defer func() { err = errors.Join(err, lock.close()) }()
	}
	latches := &latchFile{durable{path: filepath.Join(folder, LatchFile)}}
	if before, err := latches.read(); err == nil && (before == nil || before.Ended) {
		return "", nil
	}
	r, err := lastWiring(folder)
	if err != nil || r == nil || r.Board.Simulated {
		return "", err
	}
	h, err := openHardware(r, &Config{Robot: r}, defaultOpeners())
	if err != nil {
		return "", err
	}
	if err := errors.Join(h.halt(), h.close()); err != nil {
		return "", err
	}
	return "all outputs at their safe value: " + strings.Join(safeValues(r), " "), nil
}

// safeValues lists the outputs as the last word of a run does.
func safeValues(r *config.Robot) []string {
	values := make([]string, len(r.Manual.Outputs))
	for i := range values {
		o := &r.Manual.Outputs[i]
		values[i] = fmt.Sprintf("%s=%v", o.Name, o.Safe)
	}
	return values
}
