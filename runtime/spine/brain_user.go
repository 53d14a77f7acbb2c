package spine

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"dancer/runtime/privilege"
)

// brainFolder is the brain's part of the data folder. It alone belongs to the
// brain's user: latches, lock and control socket are beside it, not in it.
const brainFolder = "brain"

// BrainFolder is the brain's part of a data folder.
func BrainFolder(dataDir string) string { return filepath.Join(dataDir, brainFolder) }

// brainNames are what a brain kept in the data folder itself before it had a part
// of its own, as patterns.
var brainNames = []string{
	"robot", "robot.new", "robot.copy", "robot.copy.new", "robot.damaged-*", "dancer.lock", "recordings", "sealed",
}

// settleBrain makes the brain's folder, moves into it what earlier versions kept
// beside it, and gives it to the user that the brain will run as: nil where that
// is the spine's own. The caller holds the data folder's lock, so that no brain of
// ours runs.
func settleBrain(dataDir string, log *slog.Logger) (*privilege.User, error) {
	folder := BrainFolder(dataDir)
	if err := privilege.MakeFolder(folder); err != nil {
		return nil, err
	}
	user, why := brainUser()
	if user != nil {
		why = handOver(dataDir, folder, *user, log)
	}
	if why != nil {
		user = nil
		if err := keepFolder(folder, log, why); err != nil {
			return nil, err
		}
	}
	stayed, err := privilege.Move(dataDir, folder, kept(dataDir))
	if err != nil {
		return nil, fmt.Errorf("take over the records of an earlier version: %w", err)
	}
	if len(stayed) > 0 {
		log.Warn("records of an earlier version are left where they were: the brain has newer ones", "names", stayed, "newer", folder)
	}
	if user != nil {
		tellUser(*user, log)
	}
	return user, nil
}

// kept lists what an earlier version kept in the data folder itself.
func kept(dataDir string) []string {
	var names []string
	for _, pattern := range brainNames {
		found, err := filepath.Glob(filepath.Join(escaped(dataDir), pattern))
		if err != nil {
			continue // the patterns are ours, and escaped leaves none in the folder's name
		}
		for _, path := range found {
			names = append(names, filepath.Base(path))
		}
	}
	return names
}

// escaped is a path that a pattern takes as it is.
func escaped(path string) string {
	var out []byte
	for i := range len(path) {
		switch path[i] {
		case '*', '?', '[', '\\':
			out = append(out, '\\')
		}
		out = append(out, path[i])
	}
	return string(out)
}

// brainUser is the user for a brain, or why it cannot have one of its own.
func brainUser() (*privilege.User, error) {
	if err := privilege.MayChange(); err != nil {
		return nil, err
	}
	user, err := privilege.Choose()
	if err != nil {
		return nil, err
	}
	return &user, nil
}

// handOver gives the brain its folder, and what will be moved there while only we
// can still write to it. An error means that the brain cannot have the user: a
// file system without owners, an id that this user namespace does not know.
func handOver(dataDir, folder string, user privilege.User, log *slog.Logger) error {
	owner, err := privilege.Owner(dataDir)
	if err != nil {
		return err
	}
	done, err := privilege.Hand(folder, user, false)
	if err != nil {
		return err
	}
	for _, name := range kept(dataDir) {
		path := filepath.Join(dataDir, name)
		if belongs, err := privilege.Owner(path); err != nil || belongs != owner && belongs != user.ID {
			done.Skipped++
			continue
		}
		one, err := privilege.Hand(path, user, owner == os.Geteuid())
		if err != nil {
			return err
		}
		done.Given, done.Skipped = done.Given+one.Given, done.Skipped+one.Skipped
	}
	if done.Skipped > 0 {
		log.Warn("some of the brain's records belong to others and were left to them", "count", done.Skipped, "folder", folder)
	}
	return nil
}

// giveBack hands the brain's folder and the spine's own files to the user that the data
// folder belongs to, where that is not us: a robot that root has run by hand goes on
// under its own user.
func giveBack(dataDir string) error {
	var st unix.Stat_t
	if err := unix.Lstat(dataDir, &st); err != nil || int(st.Uid) == os.Geteuid() {
		return err
	}
	owner := privilege.User{ID: int(st.Uid), Group: int(st.Gid)}
	_, err := privilege.Hand(BrainFolder(dataDir), owner, false)
	errs := []error{err}
	for _, name := range []string{LatchFile, LatchFile + nextSuffix, WiringFile, WiringFile + nextSuffix, lockName} {
		if _, err := privilege.Hand(filepath.Join(dataDir, name), owner, false); !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// keepFolder is for a brain that runs as we do. What is in its folder must then
// be ours.
func keepFolder(folder string, log *slog.Logger, why error) error {
	us := privilege.User{ID: os.Geteuid(), Group: os.Getegid()}
	if us.ID == 0 {
		log.Error("the brain runs as root: whoever gets into it owns this machine", "cause", why,
			"cure", "add a user "+privilege.UserName+" (packaging/dancer.sysusers), put --data on a file system with owners, and leave root its capabilities")
	}
	owner, err := privilege.Owner(folder)
	if err != nil || owner == us.ID {
		return err
	}
	if _, err := privilege.Hand(folder, us, false); err != nil {
		return errors.Join(fmt.Errorf("%s belongs to user id %d, as whom the brain ran under root: sudo chown -R %d %s", folder, owner, us.ID, folder), err)
	}
	return nil
}

// tellUser says who the brain is, with the cure where its id has no name.
func tellUser(user privilege.User, log *slog.Logger) {
	if user.Name != "" {
		log.Info("the brain has a user of its own", "user", user.Name, "id", user.ID)
		return
	}
	log.Info("the brain has a user id of its own, without a name", "id", user.ID,
		"cure", "systemd-sysusers packaging/dancer.sysusers, or: useradd --system --no-create-home --shell /usr/sbin/nologin "+privilege.UserName)
}
