// Package latency counts how long things took in a histogram of high dynamic
// range: log-linear buckets after Gil Tene's HdrHistogram, of a fixed number, so
// that one count is an index and an increment, and a figure has the same
// relative error over seven decades.
//
// A value up to 1.024 us is in the first bucket. Above it every octave has 32
// buckets of the same width, up to 17.18 s; what is longer is in the last. A
// bucket has its upper bound in it and its lower not, so bounds can be given to
// Prometheus as they are. A quantile is the upper bound of its bucket: it is
// never told too low, and at most 1/32 too high.
//
// It is pure, imports the standard library alone, and allocates nothing. It
// must not read a clock, lock, or know where a histogram is kept: package link
// does for the shared segment.
package latency
