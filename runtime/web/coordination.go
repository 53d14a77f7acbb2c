package web

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"dancer/mesh/packet"
)

// Coordination is how a robot stands in its cell.
type Coordination struct {
	Mode      string  `json:"mode"` // FULL to EMERGENCY, which holds while it follows nobody
	Following bool    `json:"following"`
	Leading   bool    `json:"leading"`
	Lead      string  `json:"lead,omitempty"` // whom it follows
	Term      uint32  `json:"term"`           // of the cell's seat
	Frozen    bool    `json:"frozen"`         // it acts on no command of the cell
	Members   int32   `json:"members"`        // robots that belong to the cell, there or not
	Known     int     `json:"known"`          // of them, those whose address is known, itself counted
	Active    int32   `json:"active"`         // of a lead: members that it hears
	OffsetMS  float64 `json:"offset_ms"`      // of the lead's clock against this robot's
	BoundMS   float64 `json:"bound_ms"`       // by how much that can be wrong
	Measured  bool    `json:"measured"`
	Acts      uint64  `json:"acts"` // commands acted on since the brain's start
	Problem   string  `json:"problem,omitempty"`
}

// CellCommand is what a person wants of a whole cell.
type CellCommand struct {
	By       string
	Text     string        // name=number ... of signals that are from: cell
	In       time.Duration // until T
	Confirm  bool          // nobody acts without the quorum
	Critical bool
	Approved bool
}

// CellReceipt says that a command was given.
type CellReceipt struct {
	Command string    `json:"command"`
	At      time.Time `json:"at"` // T, by the clock of the robot that leads
}

// Coordinator is a Backend that takes part in a cell: a robot.
type Coordinator interface {
	// Coordinate gives a command to the cell, which this robot must lead. Errors are a
	// Problem, or a failure of ours.
	Coordinate(ctx context.Context, c CellCommand) (CellReceipt, error)
}

// Bounds of T: nearer is too near for everybody to be asked, farther is no command.
const (
	leastAhead = 100 * time.Millisecond
	mostAhead  = time.Minute
)

// postCommand takes {"by": "kim", "text": "go=1", "in": "1s"}.
func (s *server) postCommand(w http.ResponseWriter, r *http.Request) {
	var body struct {
		By       string `json:"by"`
		Text     string `json:"text"`
		In       string `json:"in"`
		Confirm  bool   `json:"confirm"`
		Critical bool   `json:"critical"`
		Approved bool   `json:"approved"`
	}
	if err := readBody(w, r, &body, true); err != nil {
		fail(w, err)
		return
	}
	c := CellCommand{By: strings.TrimSpace(body.By), Text: body.Text, In: time.Second, Confirm: body.Confirm, Critical: body.Critical, Approved: body.Approved}
	var err error
	if body.In != "" {
		c.In, err = time.ParseDuration(body.In)
	}
	switch {
	case err != nil || c.In < leastAhead || c.In > mostAhead:
		fail(w, problem(http.StatusUnprocessableEntity, "invalid", fmt.Sprintf("command the cell: in is %q", body.In), fmt.Sprintf("give %s to %s", leastAhead, mostAhead)))
	case c.By == "" || len(c.By) > packet.MaxByBytes:
		fail(w, problem(http.StatusUnprocessableEntity, "invalid", "command the cell: nobody says it", fmt.Sprintf("give by: your name, at most %d bytes", packet.MaxByBytes)))
	case len(c.Text) == 0 || len(c.Text) > packet.MaxPayloadBytes:
		fail(w, problem(http.StatusUnprocessableEntity, "invalid", fmt.Sprintf("command the cell: a text of %d bytes", len(c.Text)), fmt.Sprintf("give name=number of signals that are from: cell, at most %d bytes", packet.MaxPayloadBytes)))
	default:
		s.command(w, r, c)
	}
}

func (s *server) command(w http.ResponseWriter, r *http.Request, c CellCommand) {
	receipt, err := s.options.Backend.(Coordinator).Coordinate(r.Context(), c)
	if err != nil {
		fail(w, err)
		return
	}
	reply(w, http.StatusAccepted, receipt)
}
