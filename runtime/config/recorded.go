package config

import "embed"

// nothing is a file system without a file.
var nothing embed.FS

// LoadRecorded reads a robot.yaml and its manual as a recording has them, or as
// somebody wants to try them on a recording. What else they name (devices,
// scenarios, keys) is on a machine that is not here and is not looked at. board
// is the one that the robot was on, databases what Robot.Databases gave there.
func LoadRecorded(path string, robot, manual []byte, board string, databases map[string][]byte) (*Robot, Problems) {
	opt := Options{Board: board, Recorded: true, Databases: databases, Root: nothing}
	return load(path, robot, opt, func(string) ([]byte, *Problem) { return manual, nil })
}
