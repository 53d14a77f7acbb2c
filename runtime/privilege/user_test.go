package privilege

import (
	"errors"
	"os/user"
	"strconv"
	"testing"
)

func TestParse(t *testing.T) {
	if u, err := Parse("998:997"); err != nil || u != (User{ID: 998, Group: 997}) || u.String() != "998:997" {
		t.Errorf("parsed %+v, %v", u, err)
	}
	for _, text := range []string{"", "0:0", "0:5", "5:0", "-1:5", "5", "5:", "a:b", "5:6:7", "5:6 "} {
		if u, err := Parse(text); !errors.Is(err, ErrUser) {
			t.Errorf("%q parsed as %+v, %v", text, u, err)
		}
	}
}

// TestChoose: the user by its name, else the first id that neither a user nor a
// group has, and never root.
func TestChoose(t *testing.T) {
	nobody := errors.New("unknown")
	for _, c := range []struct {
		name   string
		byName *user.User
		users  []int
		groups []int
		want   User
	}{
		{"by name", &user.User{Uid: "990", Gid: "980"}, nil, nil, User{990, 980, UserName}},
		{"by number", nil, nil, nil, User{60839, 60839, ""}},
		{"users and groups have some", nil, []int{60839, 60841}, []int{60840}, User{60842, 60842, ""}},
		{"root under that name", &user.User{Uid: "0", Gid: "0"}, nil, nil, User{}},
	} {
		taken := func(ids []int, id string) bool {
			for _, n := range ids {
				if strconv.Itoa(n) == id {
					return true
				}
			}
			return false
		}
		got, err := choose(names{
			byName: func(string) (*user.User, error) {
				if c.byName == nil {
					return nil, nobody
				}
				return c.byName, nil
			},
			byID: func(id string) (*user.User, error) {
				if taken(c.users, id) {
					return &user.User{}, nil
				}
				return nil, nobody
			},
			groupID: func(id string) (*user.Group, error) {
				if taken(c.groups, id) {
					return &user.Group{}, nil
				}
				return nil, nobody
			},
		})
		if c.want.ID == 0 {
			if !errors.Is(err, ErrUser) {
				t.Errorf("%s: %+v, %v", c.name, got, err)
			}
		} else if err != nil || got != c.want {
			t.Errorf("%s: %+v, %v, want %+v", c.name, got, err, c.want)
		}
	}
	everybody := names{
		byName:  func(string) (*user.User, error) { return nil, nobody },
		byID:    func(string) (*user.User, error) { return &user.User{}, nil },
		groupID: func(string) (*user.Group, error) { return nil, nobody },
	}
	if u, err := choose(everybody); !errors.Is(err, ErrUser) {
		t.Errorf("all ids have names: %+v, %v", u, err)
	}
}
