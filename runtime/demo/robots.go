package demo

import (
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"

	"github.com/goccy/go-yaml"

	"dancer/examples"
)

// cast is who plays: the example folder of each robot, and the name in it.
var cast = []struct{ folder, name string }{
	{"museum", "gallery-bot-1"},
	{"museum-gas", "gallery-bot-2"},
	{"gallery-patrol", "gallery-bot-3"},
}

// defaultCell is that of the example robots.
const defaultCell = "gallery-east"

// cellName keeps two demos on one machine apart: members of one cell would find
// each other's robots under the same names.
func cellName(listen string) string {
	if listen == defaultListen {
		return defaultCell
	}
	_, port, _ := net.SplitHostPort(listen)
	return defaultCell + "-" + port
}

// The addresses that the demo takes when they are free.
const (
	defaultListen = "127.0.0.1:8420"
	defaultBroker = "127.0.0.1:1883"
	firstPage     = 8421 // of the first robot's page; the others follow
)

// robotFile is the simulated variant in each folder.
const robotFile = "robot-sim.yaml"

// layOut copies the example of one robot into dir and gives the path of its
// robot file, which differs from the example in its addresses.
func layOut(dir, folder, cell, broker, listen string) (string, error) {
	entries, err := fs.ReadDir(examples.Files, folder)
	if err != nil {
		return "", fmt.Errorf("lay out %s: %w", folder, err)
	}
	target := filepath.Join(dir, folder)
	if err := os.MkdirAll(target, 0o755); err != nil {
		return "", fmt.Errorf("lay out %s: %w", folder, err)
	}
	for _, entry := range entries {
		data, err := fs.ReadFile(examples.Files, folder+"/"+entry.Name())
		if err != nil {
			return "", fmt.Errorf("lay out %s: %w", folder, err)
		}
		if entry.Name() == robotFile {
			if data, err = rewire(data, cell, broker, listen); err != nil {
				return "", fmt.Errorf("lay out %s: %w", folder, err)
			}
		}
		if err := os.WriteFile(filepath.Join(target, entry.Name()), data, 0o644); err != nil {
			return "", fmt.Errorf("lay out %s: %w", folder, err)
		}
	}
	return filepath.Join(target, robotFile), nil
}

// rewire points a robot at the demo's cell and broker and gives its page an
// address of its own.
func rewire(robot []byte, cell, broker, listen string) ([]byte, error) {
	var file yaml.MapSlice
	if err := yaml.UnmarshalWithOptions(robot, &file, yaml.UseOrderedMap()); err != nil {
		return nil, err
	}
	set := func(key string, value any) {
		for i := range file {
			if file[i].Key == key {
				file[i].Value = value
				return
			}
		}
		file = append(file, yaml.MapItem{Key: key, Value: value})
	}
	set("cell", cell)
	set("conductor", yaml.MapSlice{{Key: "broker", Value: broker}})
	set("listen", listen)
	return yaml.Marshal(file)
}

// conductorFile writes the conductor's file and gives its path.
func conductorFile(dir, cell, listen, broker string) (string, error) {
	file := yaml.MapSlice{
		{Key: "name", Value: "demo"}, {Key: "scope", Value: "cell"}, {Key: "cell", Value: cell},
		{Key: "listen", Value: listen}, {Key: "broker", Value: "embedded"}, {Key: "broker_listen", Value: broker},
	}
	data, err := yaml.Marshal(file)
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "conductor.yaml")
	return path, os.WriteFile(path, data, 0o644)
}

// freeAddress gives the wanted loopback address, or another one when it is
// taken. Between this and its use somebody else may take it; the process that
// wants it then says so.
func freeAddress(wanted string) (string, error) {
	for _, address := range []string{wanted, "127.0.0.1:0"} {
		listener, err := net.Listen("tcp", address)
		if err != nil {
			continue
		}
		free := listener.Addr().String()
		return free, listener.Close()
	}
	return "", fmt.Errorf("find a free address on 127.0.0.1: none")
}
