package broker

import (
	"testing"
)

func TestStart(t *testing.T) {
	b, err := Start(Options{Listen: "127.0.0.1:0", Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Log(b.URL())
	if err := b.Shutdown(); err != nil {
		t.Fatal(err)
	}
}
