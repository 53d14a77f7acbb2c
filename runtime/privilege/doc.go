// Package privilege takes rights away from a robot's brain: it gets a user id of
// its own where the spine may give it one, no capability, no way to gain any, and
// limits that keep it from starving the spine.
//
// The work is shared. The spine chooses the user (Choose), hands the brain's
// folder over (Hand), and limits the thread that starts the brain (LimitThread),
// so that the brain begins its life with what it needs for its start alone. The
// brain reads its files, opens its listeners, and then gives the rest away for
// good (Drop).
//
// What must never happen here: to follow a symbolic link that a brain may have
// left, to open a file in its folder, or to say that rights are gone without
// having looked.
package privilege
