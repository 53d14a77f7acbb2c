package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The drawing in docs/architecture.md is held by this file: which room may
// import what, with the reason beside each rule. A rule that is in the way is
// changed here, in the open, and in the drawing.

// module is the prefix of our own import paths.
const module = "dancer/"

// pureRooms decide and never act: a decision that can be replayed from its
// record, and a rule that can be tested without a robot, need both to be pure
// functions of what is handed in. Sub-rooms are not included unless named.
var pureRooms = []string{
	"reflex", "reflex/program",
	"dancer", "dancer/expr", "dancer/proof", "dancer/swarm",
	"partner",
	"mesh", "mesh/impedance", "mesh/arrival", "mesh/quorum", "mesh/breaker",
	"mesh/conflict", "mesh/conductor", "mesh/coordination", "mesh/fleet", "mesh/fleet/report", "mesh/fleet/run",
	"mesh/packet", "mesh/operator",
	"storage",
}

// hotRooms run between an input's edge and an output's write. Standard library
// only: what others allocate or lock there, we cannot bound.
var hotRooms = []string{"hal", "reflex", "reflex/program", "runtime/link", "runtime/latency"}

// adapters wrap one outside thing each. They never import each other, so that
// each can be replaced alone; package runtime and its rooms wire them.
var adapters = []string{
	"hal/gpio", "hal/serial", "hal/i2c", "hal/evdev", "hal/can", "hal/dbc", "hal/sim", "hal/watchdog",
	"mesh/gossip", "mesh/mqtt", "mesh/broker",
	"mesh/datagram",
	"storage/bolt", "storage/segment", "storage/recording",
}

// narrow rooms see these rooms of ours and no other: a proof or a replay that
// could reach more would not be worth what it says.
var narrow = map[string][]string{
	"dancer/proof":      {"dancer", "hal", "reflex", "reflex/program"},
	"storage/recording": nil,
	"storage/segment":   nil,
	"runtime/conflicts": {"mesh", "mesh/conflict", "storage", "storage/segment"},
	"runtime/record":    {"dancer", "hal", "reflex", "runtime/config", "runtime/link", "storage/recording"},
	"runtime/replay":    {"dancer", "hal", "partner", "reflex", "runtime/config", "runtime/link", "runtime/record", "storage/recording"},
}

// forbiddenInPure are the ways out of a pure room.
var forbiddenInPure = map[string]string{
	"context":     "pure code never waits",
	"crypto/rand": "entropy is handed in, or the same record gives another decision",
	"log":         "a pure room returns what happened; package runtime logs it once",
	"log/slog":    "a pure room returns what happened; package runtime logs it once",
	"net":         "pure rooms do no I/O",
	"net/http":    "pure rooms do no I/O",
	"os":          "pure rooms do no I/O",
	"os/exec":     "pure rooms do no I/O",
	"os/signal":   "pure rooms do no I/O",
	"runtime":     "only the spine tunes Go's scheduler and collector",
	"syscall":     "pure rooms do no I/O",
	"unsafe":      "a pure room has no reason to go round the type system",
}

// thirdParty says which rooms may import a module's packages (longest prefix
// wins). A module in one room can be exchanged by rewriting one room.
var thirdParty = map[string][]string{
	"github.com/warthog618/go-gpiocdev":   {"hal/gpio"},
	"go.bug.st/serial":                    {"hal/serial"},
	"go.einride.tech/can":                 {"hal/dbc"}, // its grammar; its socket package reaches the network
	"periph.io/x":                         {"boards", "hal/i2c"},
	"github.com/eclipse/paho.mqtt.golang": {"mesh/mqtt"},
	"github.com/nats-io/nats-server":      {"mesh/broker"},
	"github.com/hashicorp/memberlist":     {"mesh/gossip"},
	"go.etcd.io/bbolt":                    {"storage/bolt"},
	"github.com/foxglove/mcap":            {"storage/recording"},
	"github.com/klauspost/compress":       {"storage/recording"}, // the packing of its chunks
	"github.com/goccy/go-yaml":            {"runtime/config", "boards", "runtime/demo"},
	"github.com/spf13":                    {"cmd/dancer"},
	"github.com/coreos/go-systemd":        {"runtime", "runtime/spine", "runtime/conductor"},
	"github.com/prometheus":               {"runtime/web", "runtime/brain", "runtime/conductor"},
	// Pure encoders: no I/O, and entropy is an argument.
	"github.com/fxamacker/cbor": {"mesh", "mesh/impedance", "mesh/gossip", "storage"},
	"github.com/oklog/ulid":     {"mesh", "mesh/packet", "storage"},
	// System calls belong to what owns a descriptor or a process.
	"golang.org/x/sys": {"hal/gpio", "hal/serial", "hal/i2c", "hal/evdev", "hal/can", "hal/watchdog", "mesh/datagram", "runtime", "runtime/link", "runtime/memory", "runtime/privilege", "runtime/spine", "runtime/brain", "runtime/doctor", "runtime/guest/init", "runtime/fleet", "storage/bolt", "storage/segment"},
	// Only to know whether logs go to a person.
	"golang.org/x/term": {"cmd/dancer", "runtime"},
	"golang.org/x/time": {"runtime/web", "mesh/mqtt", "mesh/gossip"},
	"golang.org/x/sync": {"runtime", "runtime/brain", "runtime/conductor"},
	// Oracles and instruments of the tests; never in the binary.
	"github.com/adrianmo/go-nmea":        nil,
	"github.com/HdrHistogram":            nil,
	"github.com/expr-lang/expr":          nil,
	"github.com/santhosh-tekuri":         nil,
	"github.com/creack/pty":              nil,
	"github.com/chromedp":                nil,
	"github.com/rogpeppe/go-internal":    nil,
	"github.com/warthog618/go-gpiosim":   nil,
	"github.com/nats-io/nuid":            nil,
	"pgregory.net/rapid":                 nil,
	"github.com/gorilla/websocket":       nil,
	"github.com/hashicorp/go-sockaddr":   nil,
	"github.com/hashicorp/go-msgpack/v2": nil,
}

// notInSpine is what the real-time process's room must not even reach through
// others: a collection, a lock or a name look-up in there is a late reflex.
var notInSpine = map[string]string{
	"net/http":                         "the spine has no network",
	module + "mesh/mqtt":               "the spine has no network",
	module + "mesh/broker":             "the spine has no network",
	module + "mesh/gossip":             "the spine has no network",
	module + "mesh/datagram":           "the spine has no network",
	module + "storage/bolt":            "the spine has no database",
	module + "storage/segment":         "the spine waits for no disk",
	module + "runtime/conflicts":       "conflicts belong to the brain",
	module + "storage/recording":       "the brain records; the spine only leaves traces",
	module + "runtime/brain":           "the brain is another process; it may die at any time",
	module + "runtime/web":             "the spine serves nobody",
	module + "mesh/conductor":          "the spine decides by reflexes alone",
	"go.etcd.io/bbolt":                 "the spine has no database",
	"github.com/spf13/cobra":           "the command line belongs to cmd/dancer",
	module + "partner":                 "forecasts belong to the brain",
	module + "dancer/swarm":            "learning belongs to the brain",
	module + "dancer/proof":            "proofs are made before a robot runs",
	module + "hal/haltest":             "the conformance suite is for tests",
	module + "runtime/guest":           "guests are for tests",
	"github.com/miekg/dns":             "a name look-up in the spine is a late reflex",
	"github.com/hashicorp/go-sockaddr": "a name look-up in the spine is a late reflex",
}

// room is the part of `go list -json` that the rules need.
type room struct {
	ImportPath   string
	Name         string
	Dir          string
	Standard     bool
	GoFiles      []string
	Imports      []string
	Deps         []string
	TestImports  []string
	XTestImports []string
}

// short is the room's name as the tables above write it.
func (r room) short() string { return strings.TrimPrefix(r.ImportPath, module) }

// listRooms asks the go command for every package of the module.
func listRooms(t *testing.T) []room {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-e", "-json=ImportPath,Name,Dir,Standard,GoFiles,Imports,Deps,TestImports,XTestImports", module+"...")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("list packages: %v\n%s", err, &stderr)
	}
	var rooms []room
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var r room
		if err := d.Decode(&r); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("read go list: %v", err)
		}
		rooms = append(rooms, r)
	}
	if len(rooms) < 10 {
		t.Fatalf("go list found %d packages: is this the module's root?", len(rooms))
	}
	return rooms
}

// outside says whether a path is neither ours nor the standard library's.
func outside(importPath string) bool {
	first, _, _ := strings.Cut(importPath, "/")
	return strings.Contains(first, ".")
}

// owners gives the rooms that may import a third-party package.
func owners(importPath string) (rooms []string, known bool) {
	longest := -1
	for prefix, r := range thirdParty {
		if (importPath == prefix || strings.HasPrefix(importPath, prefix+"/")) && len(prefix) > longest {
			longest, rooms, known = len(prefix), r, true
		}
	}
	return rooms, known
}

func TestImportRules(t *testing.T) {
	for _, r := range listRooms(t) {
		name := r.short()
		for _, imported := range r.Imports {
			for _, why := range complaints(name, imported) {
				t.Errorf("%s imports %s: %s", name, imported, why)
			}
		}
		if name == "runtime/spine" {
			for _, dep := range r.Deps {
				if why, ok := notInSpine[dep]; ok {
					t.Errorf("%s reaches %s: %s", name, dep, why)
				}
			}
		}
	}
}

// complaints gives every rule that an import breaks.
func complaints(name, imported string) (all []string) {
	say := func(why string) { all = append(all, why) }
	own, isOwn := strings.CutPrefix(imported, module)
	pure, hot := slices.Contains(pureRooms, name), slices.Contains(hotRooms, name)
	if pure {
		if why, ok := forbiddenInPure[imported]; ok && !waits(name, imported) {
			say(why)
		}
		if isOwn && own != "hal" && !slices.Contains(pureRooms, own) {
			say("a pure room sees other pure rooms and the vocabulary of hal")
		}
	}
	if hot {
		if isOwn && !slices.Contains(hotRooms, own) {
			say("a hot room sees hot rooms only")
		}
		if outside(imported) && !(name == "runtime/link" && imported == "golang.org/x/sys/unix") {
			say("a hot room uses the standard library only (runtime/link also golang.org/x/sys/unix)")
		}
	}
	if slices.Contains(adapters, name) && slices.Contains(adapters, own) {
		say("adapters never import each other; package runtime wires them")
	}
	if slices.Contains(adapters, name) && strings.HasPrefix(own, "runtime") && isOwn {
		say("wiring knows adapters, never the other way round")
	}
	// A replay counts the processors; memory finds the spine's code for it; a guest
	// dies with the thread that started it.
	if imported == "runtime" && !slices.Contains([]string{"runtime/spine", "runtime/memory", "runtime/replay", "runtime/guest", "hal/haltest"}, name) {
		say("only the spine tunes Go's scheduler and collector")
	}
	if name == "dancer/proof" && own == "partner" {
		say("a proof is about the model, whoever forecasts with it: the forecast is an argument")
	}
	if allowed, ok := narrow[name]; ok && isOwn && !slices.Contains(allowed, own) {
		say("this room sees " + strings.Join(append(slices.Clone(allowed), "the standard library"), ", "))
	}
	if own == "cmd/dancer" {
		say("nothing imports the command line")
	}
	if own == "hal/haltest" {
		say("the conformance suite is for tests")
	}
	if own == "runtime/guest" && name != "runtime/guest/init" {
		say("guests are for tests")
	}
	if name == "boards" && isOwn {
		say("profiles are facts about boards, not about us")
	}
	if outside(imported) {
		if rooms, known := owners(imported); !known {
			say("a module that thirdParty does not know: add it with the one room that wraps it, and a reason")
		} else if !hot && !slices.Contains(rooms, name) {
			say("this module belongs to " + strings.Join(append(rooms, "tests"), ", "))
		}
	}
	return all
}

// waits is the one exception: storage declares the repositories that adapters
// implement, and those wait for a disk.
func waits(name, imported string) bool { return name == "storage" && imported == "context" }

// TestImportRulesComplain keeps the rules themselves honest: each must be able
// to fail.
func TestImportRulesComplain(t *testing.T) {
	for _, c := range []struct{ room, imported, want string }{
		{"dancer", "os", "no I/O"},
		{"partner", "crypto/rand", "entropy"},
		{"mesh", module + "mesh/mqtt", "pure room sees"},
		{"hal", module + "storage", "hot rooms only"},
		{"reflex", "golang.org/x/sys/unix", "standard library only"},
		{"runtime/link", "golang.org/x/sys/unix", ""},
		{"hal/gpio", module + "hal/serial", "never import each other"},
		{"mesh/mqtt", module + "runtime/config", "never the other way"},
		{"runtime/web", "runtime", "only the spine"},
		{"runtime/spine", "runtime", ""},
		{"runtime", module + "hal/haltest", "for tests"},
		{"runtime/brain", module + "runtime/guest", "for tests"},
		{"runtime/guest/init", module + "runtime/guest", ""},
		{"boards", module + "hal", "facts about boards"},
		{"runtime/web", "go.etcd.io/bbolt", "belongs to storage/bolt"},
		{"runtime", "github.com/nobody/nothing", "does not know"},
		{"storage/bolt", "go.etcd.io/bbolt", ""},
		{"dancer/proof", module + "partner", "an argument"},
		{"dancer/proof", module + "reflex/program", ""},
		{"dancer/proof", module + "dancer/expr", "this room sees"},
		{"storage/recording", module + "dancer", "this room sees"},
		{"storage/segment", module + "storage", "this room sees"},
		{"runtime/conflicts", module + "storage/bolt", "this room sees"},
		{"runtime/record", module + "partner", "this room sees"},
		{"runtime/replay", module + "mesh", "this room sees"},
		{"runtime/replay", module + "partner", ""},
	} {
		got := strings.Join(complaints(c.room, c.imported), "; ")
		if (c.want == "") != (got == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s imports %s: got %q, want %q", c.room, c.imported, got, c.want)
		}
	}
}

// TestOnePackageComment: what a room is for is said once, in doc.go (the
// command's in main.go), so that it is found and does not drift.
func TestOnePackageComment(t *testing.T) {
	for _, r := range listRooms(t) {
		var at []string
		for _, file := range r.GoFiles {
			parsed, err := parser.ParseFile(token.NewFileSet(), filepath.Join(r.Dir, file), nil, parser.PackageClauseOnly|parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			if parsed.Doc == nil {
				continue
			}
			at = append(at, file)
			want, place := "Package "+r.Name+" ", "doc.go"
			if r.Name == "main" {
				want, place = "Command "+path.Base(r.ImportPath)+" ", "main.go"
			}
			if !strings.HasPrefix(parsed.Doc.Text(), want) {
				t.Errorf("%s/%s: the package comment must begin with %q", r.short(), file, want)
			}
			if file != place && len(r.GoFiles) > 1 {
				t.Errorf("%s/%s: the package comment belongs in %s", r.short(), file, place)
			}
		}
		if len(r.GoFiles) > 0 && len(at) != 1 {
			t.Errorf("%s: %d package comments %v, want exactly one", r.short(), len(at), at)
		}
	}
}

// TestPureRoomsStartNothing: a goroutine in a pure room would make the order
// of its results depend on the machine.
func TestPureRoomsStartNothing(t *testing.T) {
	for _, r := range listRooms(t) {
		if !slices.Contains(pureRooms, r.short()) && r.short() != "hal" {
			continue
		}
		for _, file := range r.GoFiles {
			set := token.NewFileSet()
			parsed, err := parser.ParseFile(set, filepath.Join(r.Dir, file), nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(parsed, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.GoStmt:
					t.Errorf("%s: a pure room starts no goroutine", set.Position(n.Pos()))
				case *ast.SendStmt, *ast.SelectStmt:
					t.Errorf("%s: a pure room waits for nobody", set.Position(n.Pos()))
				}
				return true
			})
		}
	}
}
