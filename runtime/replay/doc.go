// Package replay makes every decision of a recording again and compares.
//
// Three things are replayed, each from what the recording holds alone:
// decisions, which are pure functions of their own record and must come out the
// same to the last byte; the robot's question, which is a function of the
// decisions and rulings in their order; and the reflexes, which are a function
// of the readings, outputs and ticks that the spine traced. The first are
// independent of each other and are made on all processors; the other two are
// sequences and are replayed in order, as far as nothing is missing.
//
// With another manual than the recorded one only the decisions are made again,
// and their verdicts are compared.
//
// It may import dancer, partner, reflex, hal, runtime/config, runtime/link (for
// the names of traces), runtime/record and storage/recording.
//
// What must never happen here: a recording is written to, anything outside it
// enters a decision (a clock, a file beside it), what cannot be compared counts as
// identical, or a length in a file is believed before it is checked.
package replay
