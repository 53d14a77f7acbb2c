package report

import (
	"encoding/json"
	"fmt"

	"dancer/mesh/fleet"
)

// JSON writes the report with its version, indented, a line feed at its end. The same
// report gives the same bytes.
func JSON(r *fleet.Report) ([]byte, error) {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode report: %w", err)
	}
	return append(text, '\n'), nil
}
