// Package conflict is what the mesh does when two agents, or an agent and its
// own context, do not agree: the five types of conflict with their priorities
// and deadlines, the rules that resolve what can be resolved by rule, a bounded
// queue for the rest, the quarantine of what was received, and the record that
// is logged. A conflict (the trinary -1) is information and no failure: nothing
// here is dropped without a count, and nothing of it acts before somebody with
// a name has released it.
//
// It may import mesh and the standard library. It is pure: the time comes in as
// a duration, agents are dense indices (the edge maps names to them), and equal
// calls give equal results in equal order. The same code serves a cell of five
// robots and a fleet of a million agents: state is kept per conflict that is
// open, never per agent. What must never happen here: a queue without a bound,
// an escalation for each of 30,000 equal reports, or a rule that decides where
// the evidence does not.
package conflict
