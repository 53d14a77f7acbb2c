package record

import (
	"path/filepath"
	"testing"

	"dancer/runtime/config"
	"dancer/storage/recording"
)

// TestDatabases: what a recording keeps of DBC files comes out of its file as it went in.
func TestDatabases(t *testing.T) {
	robot := &config.Robot{CANBuses: []config.CANBus{{Name: "drive", Database: []byte("BO_ 1 A: 8 X\n")}, {Name: "lift", Database: []byte("BO_ 2 B: 8 X\n")}}}
	recorder := &Recorder{config: Config{Robot: robot}}
	path := filepath.Join(t.TempDir(), "a.mcap")
	packer, err := recording.NewPacker()
	if err != nil {
		t.Fatal(err)
	}
	f, err := recording.Create(path, packer, recording.Header{}, recorder.attachments(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	r, closeIt, err := recording.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer closeIt()
	all := Databases(r)
	for _, b := range robot.CANBuses {
		if string(all[b.Name]) != string(b.Database) {
			t.Errorf("%s is %q, want %q", b.Name, all[b.Name], b.Database)
		}
	}
	if len(all) != 2 {
		t.Errorf("%d databases, want 2", len(all))
	}
}
