package packet

import (
	"encoding/hex"
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestPage holds docs/messages.md: its example is the golden PROBE, and it names
// every outcome and kind.
func TestPage(t *testing.T) {
	text, err := os.ReadFile("../../docs/messages.md")
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(string(text), "```")
	if len(parts) != 3 {
		t.Fatalf("%d blocks", len(parts)/2)
	}
	have := ""
	for _, token := range regexp.MustCompile(`"[^"]*"|\b[0-9a-f]{2,}\b`).FindAllString(parts[1], -1) {
		if quoted := strings.Trim(token, `"`); quoted != token {
			token = hex.EncodeToString([]byte(quoted))
		}
		have += token
	}
	if want := hex.EncodeToString(readGolden(t, goldenPath("probe", Version))); have != want {
		t.Errorf("the example is\n%s, the golden file\n%s", have, want)
	}
	for _, o := range Outcomes() {
		if !strings.Contains(string(text), "`"+o.String()+"`") {
			t.Errorf("the page does not name %s", o)
		}
	}
	for k := Heartbeat; k <= lastKind; k++ {
		if !strings.Contains(string(text), k.String()) {
			t.Errorf("the page does not name %s", k)
		}
	}
}
