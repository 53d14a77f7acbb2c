// Package web serves people and scripts: the HTTP API of design part 8, its
// stream of server-sent events and the dashboard, for a conductor and for a
// robot alike. What it shows comes from a Backend; an operator's view of a mesh, and
// the orders, from a Mesh.
//
// It may import mesh, mesh/conductor, mesh/operator, runtime/latency and the Prometheus client;
// it is a room of package runtime and only that wires it. What must never happen here: a
// decision of any kind, a request that waits without a deadline, a queue without
// a bound, an answer to a foreign Host or Origin, or text of a peer that reaches
// a page as markup.
package web
