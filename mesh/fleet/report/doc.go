// Package report writes what a run of a fleet has shown (fleet.Report): as text for
// a terminal of 80 columns, as JSON, and as one HTML page that needs nothing else.
//
// It is pure: it may import the standard library, mesh/fleet and mesh/breaker, and
// gives back bytes. What must never happen here: a clock call, a result that depends on anything
// but the report, a script or a reference to another file in the page, or a picture
// without its numbers in a table beside it.
package report
