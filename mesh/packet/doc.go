// Package packet is the message that agents send each other as single datagrams
// (mesh-30k 2.4 and appendix B): its fields, its form in CBOR, the seal that
// proves where it comes from, and the admission that judges what arrives.
//
// A Sealer turns a Message into bytes; an Admission turns bytes back into a
// Message, or says why not: too large, of an unknown version, not authentic,
// malformed, future-dated, expired, replayed, over its source's rate. What is
// refused is counted and reported, and costs nobody but its source.
//
// It is pure: it may import the standard library, the ULID module, mesh and
// mesh/impedance, takes the monotonic and the wall clock as arguments, and neither
// sends nor stores anything. What must never happen here: a message that is acted
// on twice, state that a peer can make grow, an allocation for a message that is
// refused, or a name that counts before its message was found authentic.
package packet
