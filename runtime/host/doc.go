// Package host runs one node of the mesh on the wall clock: it feeds the state
// machines of mesh/coordination with datagrams and time, and carries out what they
// say. A robot in its cell is a node, and so is each of the many that one process
// runs for a test of a whole fleet: nothing here is global.
//
// One goroutine owns the node; another receives. Who hands something in waits for
// the first, with a deadline. What comes over the network waits in one bounded queue,
// and what does not fit is dropped and counted, as the network itself does.
//
// It may import mesh/coordination and the rooms it is made of, mesh/packet and the
// adapter mesh/datagram. What must never happen here: a promise that is sent before
// it is stored, so that a restart could give it twice; a message of somebody whose
// address nobody vouches for taken for a member's; a Handler that is called by two
// goroutines, or that is waited for.
package host
