package brain

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"dancer/dancer"
	"dancer/mesh/conductor"
	"dancer/mesh/gossip"
	"dancer/mesh/impedance"
	"dancer/runtime/config"
)

// joinCell starts gossip. A robot that cannot is a cell of one and says so.
func (b *brain) joinCell() {
	if b.robot.Mesh.Off {
		return
	}
	key, err := b.opened.gossipKey, b.opened.meshErr
	if err == nil {
		var cell *gossip.Gossip
		cell, err = gossip.Start(gossip.Options{
			Name: b.robot.Name, Cell: b.robot.Cell, Bind: b.robot.Mesh.Bind, Join: b.robot.Mesh.Join, Key: key,
			Impedance: b.impedance, OnMessage: b.markers.receive, OnRoundTrip: b.roundTrip, Log: b.log,
			OnChange: func(gossip.Member) { b.membersChanged() }, OnConflict: b.clonedName,
		})
		if err == nil {
			b.cell.Store(cell)
		}
	}
	if err != nil {
		b.log.Error("going on without the cell", "error", err)
	}
}

// leaveCell says goodbye, so that the cell need not find out.
func (b *brain) leaveCell() {
	cell := b.cell.Load()
	if cell == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), leaveTimeout)
	defer cancel()
	if err := cell.Leave(ctx); err != nil {
		b.log.Warn("leave the cell", "error", err)
	}
}

// leaveTimeout bounds the goodbye.
const leaveTimeout = 2 * time.Second

func gossipKey(m config.Mesh) ([]byte, error) {
	if m.KeyFile == "" {
		return nil, nil
	}
	key, err := os.ReadFile(m.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("read mesh.key_file: %w", err)
	}
	return key, nil
}

func (b *brain) roundTrip(_ string, took time.Duration) {
	b.meter.mutex.Lock()
	defer b.meter.mutex.Unlock()
	b.meter.RoundTrip(b.clock(), took)
}

// processed feeds the impedance with the time that a decision took.
func (b *brain) processed(d *dancer.Decision, ok bool) {
	b.meter.mutex.Lock()
	defer b.meter.mutex.Unlock()
	b.meter.Processed(b.clock(), d.Elapsed, 1, ok)
}

// impedance is this robot's record, as the cell hears it.
func (b *brain) impedance() impedance.Record {
	r := impedance.Record{
		Agent: b.robot.Name, Cell: b.robot.Cell, Class: impedance.ClassLocal, Operation: b.operation(),
		Heartbeat: b.wall().UnixMilli(), Context: contextOf(b.manual.Hash), Port: b.coordinated.port(),
	}
	b.meter.mutex.Lock()
	defer b.meter.mutex.Unlock()
	b.meter.Queue(b.mail.pending())
	b.meter.Fill(b.clock(), &r)
	return r
}

// operation is degraded while something is missing that the robot should have.
func (b *brain) operation() impedance.Operation {
	if len(b.problems()) > 0 {
		return impedance.Degraded
	}
	return impedance.Active
}

// problems lists what is missing now, in plain words.
func (b *brain) problems() []string {
	var out []string
	if fault := b.fault(); fault != "" {
		out = append(out, fault)
	}
	if b.rooted {
		out = append(out, "the brain runs as root: whoever gets into it owns this machine; the log of dancer run says why and what to do")
	}
	status, ok := b.ends.Segment.LoadStatus()
	if ok && !status.RealTime {
		out = append(out, "no real-time priority: reflexes can be late under load; run it as the systemd unit or as root")
	}
	if b.mail.client != nil && !b.mail.connected() {
		if err := b.mail.client.Status().LastError; err != nil {
			out = append(out, err.Error())
		}
	}
	if b.advice != nil {
		out = append(out, b.advice.problems()...)
	}
	if lost := b.archive.lost.Load(); lost > 0 {
		out = append(out, fmt.Sprintf("%d records could not be stored: look at the disk of the data folder", lost))
	}
	if figures, ok := b.recorder.Figures(); ok && figures.Stopped {
		out = append(out, "recording has stopped: look at the disk of the data folder, and at the log for why; decisions and reflexes go on")
	}
	if lost := b.recorder.Lost() + b.ends.Segment.TracesLost(); lost > 0 {
		out = append(out, fmt.Sprintf("%d readings and events are missing in the recording, which says where: look at the disk of the data folder", lost))
	}
	if b.conflicts != nil {
		out = append(out, b.conflicts.Problems()...)
	}
	if cell := b.cell.Load(); cell != nil {
		if conflict := cell.Status().Conflict; conflict != "" {
			out = append(out, conflict)
		}
	}
	return out
}

// members gives the cell as the register takes it.
func (b *brain) members() []conductor.Member {
	cell := b.cell.Load()
	if cell == nil {
		return nil
	}
	var out []conductor.Member
	for _, m := range cell.Members() {
		member := conductor.Member{Name: m.Name, Alive: m.Alive}
		if m.Record != nil {
			member.Impedance = encode(m.Record)
		}
		out = append(out, member)
	}
	return out
}

// encode is for values that always encode: structs of this module.
func encode(v any) json.RawMessage {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("brain: encode %T: %v", v, err))
	}
	return raw
}
