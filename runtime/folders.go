package runtime

import (
	"fmt"
	"os"
	"path/filepath"
)

// DataFolder is where a robot or a conductor keeps what must survive, when no
// --data names another: systemd's state directory, /var/lib/dancer/NAME for
// root, else ~/.local/state/dancer/NAME.
func DataFolder(name string) (string, error) {
	if dir := os.Getenv("STATE_DIRECTORY"); dir != "" {
		return dir, nil
	}
	if os.Geteuid() == 0 {
		return filepath.Join("/var/lib/dancer", name), nil
	}
	if dir := os.Getenv("XDG_STATE_HOME"); dir != "" {
		return filepath.Join(dir, "dancer", name), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("find data folder: %w: give one with --data", err)
	}
	return filepath.Join(home, ".local/state/dancer", name), nil
}

// RunFolder is where running robots leave a link to their control socket, so
// that `dancer stop` finds them without a conductor.
func RunFolder() string {
	if dir := os.Getenv("DANCER_RUN_DIRECTORY"); dir != "" {
		return dir
	}
	if os.Geteuid() == 0 {
		return "/run/dancer"
	}
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		return filepath.Join(dir, "dancer")
	}
	return filepath.Join(os.TempDir(), fmt.Sprintf("dancer-%d", os.Geteuid()))
}
