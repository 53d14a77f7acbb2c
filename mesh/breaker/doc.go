// Package breaker keeps a fault where it is: circuit breakers of clusters,
// sectors and the whole mesh, the six classes of failure with their detection,
// recovery and escalation, the five operational modes with the restrictions that
// the rest asks for before it acts, and freezes.
//
// It is pure: it may import the standard library alone, takes the monotonic time
// as a time.Duration with every call and randomness as a seeded source. Agents,
// clusters and sectors are dense indices; names belong to the edge. What must
// never happen here: a breaker that stays open after its fault has ended, a
// recovery in which all come back at once, a restriction that is only text, or a
// frozen scope that acts.
package breaker
