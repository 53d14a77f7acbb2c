package privilege

import (
	"errors"
	"fmt"
	"os/user"
	"strconv"
	"strings"
)

// UserName is the user that brains run as where it exists; packaging/dancer.sysusers
// makes it.
const UserName = "dancer-brain"

// Where there is no such user, the brain gets the first of these ids that has no
// name on this machine. They are in a range that systemd's and Debian's lists of
// user ids give to nobody (60706 to 61183, systemd's docs/UIDS-GIDS.md), so that
// no other service has it, as several have nobody's.
const (
	firstFreeID = 60839
	freeIDs     = 20
)

// Environment is the variable by which the spine tells a brain which user to
// become, as User.String writes it. Without it the brain stays who it is.
const Environment = "DANCER_BRAIN_USER"

// User is a user id with its group, neither of them root's.
type User struct {
	ID, Group int
	Name      string // "" for an id without a name
}

// String is what Parse reads: "ID:GROUP".
func (u User) String() string { return strconv.Itoa(u.ID) + ":" + strconv.Itoa(u.Group) }

// ErrUser is wrapped by every error of Parse and Choose.
var ErrUser = errors.New("not a user for the brain")

// Parse reads "ID:GROUP".
func Parse(text string) (User, error) {
	id, group, _ := strings.Cut(text, ":")
	var u User
	var err error
	if u.ID, err = strconv.Atoi(id); err == nil {
		u.Group, err = strconv.Atoi(group)
	}
	if err != nil || u.ID <= 0 || u.Group <= 0 {
		return User{}, fmt.Errorf("%w: %q: want ID:GROUP, both above 0", ErrUser, text)
	}
	return u, nil
}

// Choose gives the user for brains on this machine: UserName, or an id without a
// name.
func Choose() (User, error) { return choose(names{user.Lookup, user.LookupId, user.LookupGroupId}) }

// names is where users are looked up.
type names struct {
	byName  func(string) (*user.User, error)
	byID    func(string) (*user.User, error)
	groupID func(string) (*user.Group, error)
}

func choose(n names) (User, error) {
	if found, err := n.byName(UserName); err == nil {
		u, err := Parse(found.Uid + ":" + found.Gid)
		u.Name = UserName
		return u, err
	}
	for id := firstFreeID; id < firstFreeID+freeIDs; id++ {
		text := strconv.Itoa(id)
		_, userErr := n.byID(text)
		_, groupErr := n.groupID(text)
		if userErr != nil && groupErr != nil {
			return User{ID: id, Group: id}, nil
		}
	}
	return User{}, fmt.Errorf("%w: ids %d to %d all have names here: add a user %s", ErrUser, firstFreeID, firstFreeID+freeIDs-1, UserName)
}
