// Package segment keeps an append-only log in segment files: records with their
// length, a CRC-32C and a hash that covers the record before, so that an edit
// anywhere is found, and a head beside the folder that says where the log ends,
// so that a missing tail is found too.
//
// One goroutine writes. It gathers what waits into one write, syncs the file,
// then the head, and only then acknowledges: what was acknowledged survives a
// power cut, and nothing behind the head was. An open log repairs what a power
// cut leaves (a torn tail is set aside and told) and never repairs evidence: a
// segment with acknowledged records that cannot be read stays as it is, the log
// goes on in a new one, and a mark in the log says what is missing.
//
// It may import the standard library and golang.org/x/sys/unix, wraps the file
// system alone and does not know what the records mean. What must never happen
// here: an acknowledged record that a crash can lose, a byte that is deleted
// without a mark that says so, a caller that waits for a hung disk past its
// deadline, or a reader that trusts a length.
package segment
