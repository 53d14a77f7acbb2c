// Package coordination is the protocol of the mesh as state machines: an Agent,
// and a Coordinator for every node with children (lead of a cell, sector
// coordinator, orchestrator: one code). They join what the other rooms decide:
// when to send and when to act (mesh/arrival), how far clocks are apart
// (mesh/impedance), when enough are ready (mesh/quorum), what is done when parts
// fail (mesh/breaker), what becomes of contradictions (mesh/conflict).
//
// The shape is that of a raft core: the caller feeds messages and time and drains
// an Outbox of messages to send and effects to carry out; the core reads no clock
// and owns no socket, file or goroutine. The same core runs in a cell of five
// robots over mesh/datagram (packet.go is that edge) and in a fleet of a million
// agents on one event heap.
//
// It is pure: it may import the rooms named here, mesh, mesh/packet and the
// standard library. now is the node's own clock, which must not step while the
// node runs; randomness is seeded and handed in. Each Agent and Coordinator has
// one owner. What must never happen here: a message that is acted on twice, an act
// before T, a quorum from a minority, two nodes that coordinate one seat at once, a
// frozen scope that acts, a map or an allocation per message.
package coordination
