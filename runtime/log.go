package runtime

import (
	"io"
	"log/slog"
	"os"

	"golang.org/x/term"
)

// NewLog makes the log of a process: text on a terminal, JSON otherwise. part
// names the process in every line.
func NewLog(w io.Writer, part string) *slog.Logger {
	options := &slog.HandlerOptions{Level: slog.LevelInfo}
	if os.Getenv("DANCER_LOG") == "debug" {
		options.Level = slog.LevelDebug
	}
	var handler slog.Handler = slog.NewJSONHandler(w, options)
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		handler = slog.NewTextHandler(w, options)
	}
	return slog.New(handler).With("part", part)
}
