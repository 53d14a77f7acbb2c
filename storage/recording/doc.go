// Package recording writes and reads recordings: MCAP files with JSON channels,
// which Foxglove and every MCAP tool open, and the ring of such files that keeps
// the last minutes of a robot.
//
// It wraps the format's own library, github.com/foxglove/mcap/go/mcap, for
// writing, and its compressor, github.com/klauspost/compress/zstd. Reading is
// our own and strict: a recording is evidence, so that every byte of it is
// checked before any of it is believed, a damaged one is refused with the last
// good position, and lengths in it are hostile until they are proved. (The
// library's reader gives no positions, does not check the data section, and
// panics on some lengths; the tests hold both readers against each other.)
//
// It may import the standard library and those two modules. Nothing in it knows
// what the messages mean, logs, or starts a goroutine, and it never writes to a
// file that it reads.
package recording
