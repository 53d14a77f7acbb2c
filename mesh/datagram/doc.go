// Package datagram carries the messages of mesh/packet over UDP: one socket of one
// agent, Linux, several datagrams a system call.
//
// A Link seals what is sent, judges what arrives, and hands what was accepted to a
// function of its owner. It keeps no queue of its own: the kernel's two socket
// buffers are the queues, their bounds are set and what they drop is counted. It
// starts no goroutine: Run receives in its caller's. It may import the standard
// library, golang.org/x/sys/unix, mesh and mesh/packet. What must never happen here:
// a call that blocks without a deadline, a datagram that reaches the owner without
// its Admission, or a socket that other hosts reach without a key.
package datagram
