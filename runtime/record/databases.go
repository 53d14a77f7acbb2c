package record

import (
	"maps"
	"slices"
	"strings"

	"dancer/runtime/config"
	"dancer/storage/recording"
)

// databaseFile is how the name of a CAN bus's description begins among the attachments.
const databaseFile = "can/"

// attachedDatabases are the parts of DBC files that the robot's signals need: units,
// ranges and ages are theirs.
func attachedDatabases(r *config.Robot) (all []recording.Attachment) {
	databases := r.Databases()
	for _, bus := range slices.Sorted(maps.Keys(databases)) {
		all = append(all, recording.Attachment{Name: databaseFile + bus, Media: "text/plain", Data: databases[bus]})
	}
	return all
}

// Databases gives what a recording has of DBC files, for config.LoadRecorded.
func Databases(r *recording.Recording) map[string][]byte {
	all := map[string][]byte{}
	for _, a := range r.Attachments {
		if bus, is := strings.CutPrefix(a.Name, databaseFile); is {
			all[bus] = a.Data
		}
	}
	return all
}
