package hal

import "slices"

// nmeaSentences are the parts with names, by sentence type (NMEA 0183).
// A GGA or RMC position counts only with a fix.
var nmeaSentences = map[string][]nmeaField{
	"GGA": {
		{"time", 1, nmeaTime, "s", 0},
		{"latitude", 2, nmeaAngle, "deg", 6},
		{"longitude", 4, nmeaAngle, "deg", 6},
		{"quality", 6, nmeaNumber, "", 0},
		{"satellites", 7, nmeaNumber, "", 0},
		{"hdop", 8, nmeaNumber, "", 0},
		{"altitude", 9, nmeaNumber, "m", 6},
		{"separation", 11, nmeaNumber, "m", 6},
	},
	"RMC": {
		{"time", 1, nmeaTime, "s", 0},
		{"valid", 2, nmeaStatus, "", 0},
		{"latitude", 3, nmeaAngle, "deg", 2},
		{"longitude", 5, nmeaAngle, "deg", 2},
		{"speed", 7, nmeaKnots, "m/s", 2},
		{"course", 8, nmeaNumber, "deg", 2},
		{"variation", 10, nmeaVariation, "deg", 0},
	},
	"GLL": {
		{"latitude", 1, nmeaAngle, "deg", 6},
		{"longitude", 3, nmeaAngle, "deg", 6},
		{"time", 5, nmeaTime, "s", 0},
		{"valid", 6, nmeaStatus, "", 0},
	},
	"VTG": {
		{"course", 1, nmeaNumber, "deg", 0},
		{"speed", 7, nmeaKilometre, "m/s", 0},
	},
	"GSA": {
		{"fix", 2, nmeaNumber, "", 0},
		{"pdop", 15, nmeaNumber, "", 0},
		{"hdop", 16, nmeaNumber, "", 0},
		{"vdop", 17, nmeaNumber, "", 0},
	},
	"HDT": {{"heading", 1, nmeaNumber, "deg", 0}},
	"HDG": {
		{"heading", 1, nmeaNumber, "deg", 0},
		{"deviation", 2, nmeaVariation, "deg", 0},
		{"variation", 4, nmeaVariation, "deg", 0},
	},
	"ROT": {{"rate", 1, nmeaNumber, "deg/min", 2}},
	"DBT": {{"depth", 3, nmeaNumber, "m", 0}},
	"DPT": {
		{"depth", 1, nmeaNumber, "m", 0},
		{"offset", 2, nmeaNumber, "m", 0},
	},
	"MTW": {{"temperature", 1, nmeaNumber, "°C", 0}},
	"ZDA": {{"time", 1, nmeaTime, "s", 0}},
}

// NMEAFields lists the fields with names, sorted. Speeds are in m/s whatever the
// sentence uses.
func NMEAFields() []KnownField {
	var list []KnownField
	for sentence, fields := range nmeaSentences {
		for _, f := range fields {
			list = append(list, KnownField{sentence + "." + f.name, f.unit})
		}
	}
	slices.SortFunc(list, func(a, b KnownField) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	return list
}
