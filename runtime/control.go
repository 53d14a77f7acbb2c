package runtime

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"dancer/runtime/spine"
)

// Target says which robot of this machine is meant.
type Target struct {
	Robot   string // name; "" is the only one that runs
	DataDir string // its data folder; "": found by name
}

// Errors of Control, by what the operator can do.
var (
	// ErrNoRobot: no robot of that name runs here.
	ErrNoRobot = errors.New("no robot runs on this machine")
	// ErrRefused: the robot answered no, and why.
	ErrRefused = errors.New("refused")
)

// Control asks the spine of a robot to start, stop or clear, and gives its
// answer. It works without a brain and without a conductor.
func Control(target Target, do, by, latch string, timeout time.Duration) (string, error) {
	socket, err := findSocket(target)
	if err != nil {
		return "", fmt.Errorf("%s: %w", do, err)
	}
	line := do + " " + strings.ReplaceAll(by, " ", "_")
	if latch != "" {
		line += " " + latch
	}
	answer, err := spine.Control(socket, line, timeout)
	if err != nil {
		return "", fmt.Errorf("%s: %w", do, err)
	}
	if strings.HasPrefix(answer, "refused") {
		return "", fmt.Errorf("%w: %s", ErrRefused, strings.TrimPrefix(strings.TrimPrefix(answer, "refused"), " "))
	}
	return answer, nil
}

// findSocket gives the data folder, or the link in the run folder, of a robot.
func findSocket(target Target) (string, error) {
	if target.DataDir != "" {
		return target.DataDir, nil
	}
	running := robotsHere()
	if target.Robot == "" {
		switch len(running) {
		case 0:
			return "", fmt.Errorf("%w: start one with dancer run ROBOT.yaml, or name one of a conductor with --conductor", ErrNoRobot)
		case 1:
			return socketLink(running[0]), nil
		}
		return "", fmt.Errorf("%d robots run on this machine: say which: %s", len(running), strings.Join(running, ", "))
	}
	link := socketLink(target.Robot)
	if _, err := os.Stat(link); err == nil {
		return link, nil
	}
	if len(running) == 0 {
		return "", fmt.Errorf("%w under the name %s: is it another user's, or on another machine (--conductor URL)?", ErrNoRobot, target.Robot)
	}
	return "", fmt.Errorf("no robot %s runs on this machine: there are %s", target.Robot, strings.Join(running, ", "))
}

// socketSuffix ends the names of the links in the run folder.
const socketSuffix = ".sock"

func socketLink(robot string) string { return filepath.Join(RunFolder(), robot+socketSuffix) }

// robotsHere lists the robots whose control socket is there, by name.
func robotsHere() []string {
	links, err := filepath.Glob(filepath.Join(RunFolder(), "*"+socketSuffix))
	if err != nil {
		return nil
	}
	var names []string
	for _, link := range links {
		if _, err := os.Stat(link); err == nil { // a link whose robot was killed points nowhere
			names = append(names, strings.TrimSuffix(filepath.Base(link), socketSuffix))
		}
	}
	return names
}
