// Package quorum says when enough agents are ready: the trinary quorum with its
// four decisions, the window in which answers are gathered, hedged requests with
// their budget, and cascades over orchestrator, sectors, clusters and agents as a
// state machine of phases.
//
// It is pure: it may import the standard library and package mesh, takes the
// monotonic time as a time.Duration with every call, and gives back what is to be
// sent. Agents, clusters and sectors are dense indices; names belong to the edge.
// What must never happen here: a membership that shrinks after it was addressed
// (a quorum of those who can be reached is a quorum of a minority), a phase
// without a deadline, an answer that counts twice, or an allocation per answer.
package quorum
