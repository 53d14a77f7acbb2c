// Package examples holds the example robots as files, so that the binary can
// show them without a download. It imports nothing and holds no code.
package examples

import "embed"

// Files are the example folders, one robot each.
//
//go:embed museum museum-gas gallery-patrol wall-follower mower gps-mower cart teleop-rover laser-rover warehouse-picker
var Files embed.FS
