package hal

import (
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
)

// TestCSVRecording reads a recording of a real robot's 24 ultrasound channels
// and compares every cell with encoding/csv.
func TestCSVRecording(t *testing.T) {
	stream := recording(t, "../../shared/data/scitos-wall-following.csv.gz")
	rows, err := csv.NewReader(bytes.NewReader(stream)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	fields := make([]string, 24)
	for i := range fields {
		fields[i] = "s" + strconv.Itoa(i+1)
	}
	for name, c := range map[string]FramerConfig{
		"columns from the header":    {Framing: "csv", Fields: fields},
		"columns from the settings":  {Framing: "csv", Fields: fields, Columns: rows[0]},
		"columns by number, from 1 ": {Framing: "csv", Fields: columnNumbers(24)},
	} {
		t.Run(name, func(t *testing.T) { checkRecording(t, mustFramer(t, c), stream, rows[1:]) })
	}
}

func columnNumbers(n int) []string {
	numbers := make([]string, n)
	for i := range numbers {
		numbers[i] = strconv.Itoa(i + 1)
	}
	return numbers
}

func checkRecording(t *testing.T, framer Framer, stream []byte, rows [][]string) {
	random := rand.New(rand.NewPCG(5456, 24))
	row := 0
	for len(stream) > 0 {
		chunk := stream[:min(1+random.IntN(700), len(stream))]
		stream = stream[len(chunk):]
		for len(chunk) > 0 {
			frame, n, ok := framer.Next(chunk)
			chunk = chunk[n:]
			if !ok {
				continue
			}
			if len(frame) != 24 {
				t.Fatalf("row %d has %d fields", row, len(frame))
			}
			for _, v := range frame {
				if want, _ := strconv.ParseFloat(rows[row][v.Field], 64); v.Value != want {
					t.Fatalf("row %d, column %d is %v, want %v", row, v.Field, v.Value, want)
				}
			}
			row++
		}
	}
	if c := framer.Counters(); row != 5456 || c.Frames != 5456 || c.Errors != 0 || c.Dropped != 0 {
		t.Errorf("%d rows, %+v", row, c)
	}
}

// recording reads a file that is not part of the project, or skips the test.
func recording(t *testing.T, path string) []byte {
	t.Helper()
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		t.Skipf("the recording is not beside this project: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	unzipped, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(unzipped)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
