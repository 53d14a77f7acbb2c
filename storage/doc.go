// Package storage says how records are framed and which tables exist: codecs,
// table names, and typed repositories over a small port that an adapter such as
// storage/bolt fills.
//
// It is pure: it may import the standard library alone, and does no I/O of its
// own; a repository only calls the port it was given. What must never happen
// here: a change of a stored format without a new version and a golden file, or
// a record that is decoded without its checksum.
package storage
