package brain

import (
	"context"
	"errors"
	"fmt"
	"time"

	"dancer/mesh/impedance"
	"dancer/mesh/operator"
	"dancer/mesh/packet"
	"dancer/mesh/quorum"
	"dancer/runtime/console"
	"dancer/runtime/web"
)

// newConsole makes the operator's desk of the cell, which answers while this robot
// leads.
func (c *coordinated) newConsole() (*console.Console, error) {
	members := c.book.Len()
	t := &quorum.Topology{Sectors: 1, ClusterSector: []int32{0}, AgentCluster: make([]int32, members), AgentClass: make([]uint8, members)}
	names := make([]string, members)
	for node := range members {
		names[node], t.AgentClass[node] = c.book.Name(uint32(node)), uint8(impedance.ClassLocal)
	}
	cell := c.b.robot.Cell
	return console.New(console.Options{
		Shape: &operator.Shape{Name: "cell " + cell, Topology: t, Root: quorum.TierAgent, Sectors: []string{cell}, Clusters: []string{cell}, Agents: names},
		Seat:  func(operator.Place) (console.Seat, bool) { return console.Seat{Host: c.host}, true },
		Node:  func(agent int32) uint32 { return uint32(agent) },
	})
}

// cellMesh is the mesh of a robot: its cell, while it leads it.
type cellMesh struct {
	mesh web.Mesh
	c    *coordinated
}

// mesh is what an operator sees of the cell; nil where the robot takes no part.
func (b *brain) mesh() web.Mesh {
	if b.coordinated == nil {
		return nil
	}
	return &cellMesh{b.coordinated.console.Mesh(), b.coordinated}
}

// led says why this robot cannot answer for the cell.
func (m *cellMesh) led() error {
	if s := m.c.status.Load(); s != nil && s.Leading {
		return nil
	}
	robot := m.c.b.robot
	return &operator.Fault{Cause: operator.ErrNotLed, Detail: fmt.Sprintf("%s does not lead %s", robot.Name, robot.Cell), Hint: m.c.whoLeads()}
}

// Status implements web.Mesh.
func (m *cellMesh) Status(ctx context.Context) (operator.Status, error) {
	if err := m.led(); err != nil {
		return operator.Status{}, err
	}
	return m.mesh.Status(ctx)
}

// Agents implements web.Mesh.
func (m *cellMesh) Agents(ctx context.Context, f operator.Filter) (operator.Page, error) {
	if err := m.led(); err != nil {
		return operator.Page{}, err
	}
	return m.mesh.Agents(ctx, f)
}

// Start implements web.Mesh.
func (m *cellMesh) Start(ctx context.Context, o operator.Order, at time.Time) (operator.Operation, error) {
	if err := m.led(); err != nil {
		return operator.Operation{}, err
	}
	if len(o.Text) > packet.MaxPayloadBytes {
		return operator.Operation{}, &operator.Fault{Cause: operator.ErrInvalid, Hint: "shorten it",
			Detail: fmt.Sprintf("%s: a text of %d bytes; a datagram of a cell has room for %d", o.Kind, len(o.Text), packet.MaxPayloadBytes)}
	}
	if err := orderOfCell(&o); err != nil {
		return operator.Operation{}, err
	}
	op, err := m.mesh.Start(ctx, o, at)
	if err == nil {
		m.c.b.log.Info("an operator orders", "by", op.By, "what", op.Kind, "scope", op.Scope, "text", op.Text, "operation", op.ID)
	}
	return op, err
}

// orderOfCell says what robots can take: commands are settings of signals that are
// from: cell, questions one word (see parseOrder).
func orderOfCell(o *operator.Order) error {
	if o.Text == "" {
		return nil
	}
	parsed, err := parseOrder(o.Text)
	asks := o.Kind == operator.Ask
	switch {
	case err != nil && !asks:
		return &operator.Fault{Cause: operator.ErrInvalid, Detail: fmt.Sprintf("%s: %v", o.Kind, err), Hint: "robots take name=number of signals that are from: cell"}
	case asks && (err != nil || parsed.about == ""):
		return &operator.Fault{Cause: operator.ErrInvalid, Detail: fmt.Sprintf("ask: %q is no question that a robot answers", clipped(o.Text)), Hint: "ask mode, running, manual, latches, or a signal with publish: true"}
	case !asks && parsed.about != "":
		return &operator.Fault{Cause: operator.ErrInvalid, Detail: fmt.Sprintf("%s: %q asks for nothing to be done", o.Kind, clipped(o.Text)), Hint: "robots take name=number of signals that are from: cell"}
	}
	return nil
}

// Operations implements web.Mesh.
func (m *cellMesh) Operations(ctx context.Context) ([]operator.Operation, error) {
	return m.mesh.Operations(ctx)
}

// Operation implements web.Mesh.
func (m *cellMesh) Operation(ctx context.Context, id string) (operator.Operation, error) {
	return m.mesh.Operation(ctx, id)
}

// Cancel implements web.Mesh.
func (m *cellMesh) Cancel(ctx context.Context, id string) (operator.Operation, error) {
	op, err := m.mesh.Cancel(ctx, id)
	if err == nil {
		m.c.b.log.Info("an operator cancels", "operation", id, "state", op.State)
	}
	return op, err
}

// runConsole runs the desk beside the node.
func (c *coordinated) runConsole(ctx context.Context) {
	if err := c.console.Run(ctx); err != nil && !errors.Is(err, context.Canceled) {
		c.b.log.Error("the operator's desk of the cell", "error", err)
	}
}
