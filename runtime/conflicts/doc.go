// Package conflicts keeps the conflicts of a robot or a conductor: it hands what
// others find to mesh/conflict, writes what that decides to a hash-chained log
// (storage/segment) with an index in the store, and tells who must know.
//
// It wires and holds no rule of its own. It may import mesh/conflict,
// storage/segment, storage and mesh; never storage/bolt: the store is a port.
// What must never happen here: a finder that waits for the disk, a robot that
// does not start because its log is damaged, an index that is believed where the
// log says otherwise, or a conflict that is dropped without a count.
package conflicts
