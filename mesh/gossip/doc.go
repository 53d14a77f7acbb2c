// Package gossip keeps the membership of one cell, over memberlist: who is
// alive, what impedance each member says it has, and small messages that reach
// everybody.
//
// It may import the standard library, memberlist, mesh and mesh/impedance. What
// must never happen here: meta data over 512 bytes (the library panics), two
// cells that merge, a callback that blocks the receive loop, or a decision about
// safety that trusts membership (it needs over 5 s to call a peer dead).
package gossip
