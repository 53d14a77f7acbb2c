// Package conductor runs the conductor of a cell: its store, its broker (or the
// connection to another one), its place in the cell's gossip, and the HTTP
// server with the dashboard.
//
// It wires and holds no rule of its own: what a conductor knows and does is in
// mesh/conductor. It may import every adapter, runtime/config and runtime/web.
// What must never happen here: a question acknowledged before it is on the disk,
// a ruling that is on the disk and not in the outbox, or a conductor that starts
// on a data folder which another one uses.
package conductor
