package broker

import (
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
)

// logger hands the library's log to slog, and catches the two lines that need an
// answer.
type logger struct {
	log    *slog.Logger
	fatal  chan string   // capacity 1: the first cause that would end the process
	sick   chan struct{} // capacity 1: the store cannot be written
	isSick atomic.Bool   // keeps the flood of consequences out of the log
}

func newLogger(log *slog.Logger) *logger {
	return &logger{log: log, fatal: make(chan string, 1), sick: make(chan struct{}, 1)}
}

// Errorf watches for the store's write errors: they are final for the library,
// which then refuses every publish until it is started anew.
func (l *logger) Errorf(format string, v ...any) {
	text := fmt.Sprintf(format, v...)
	if strings.Contains(strings.ToLower(text), "critical write error") {
		l.isSick.Store(true)
		select {
		case l.sick <- struct{}{}:
		default:
		}
	}
	if l.isSick.Load() {
		l.log.Debug(text)
		return
	}
	l.log.Error(text)
}

// Fatalf keeps the first cause; the library would end the process here.
func (l *logger) Fatalf(format string, v ...any) {
	select {
	case l.fatal <- fmt.Sprintf(format, v...):
	default:
	}
}

// Warnf keeps warnings, except while the store is sick.
func (l *logger) Warnf(format string, v ...any) {
	if text := fmt.Sprintf(format, v...); l.isSick.Load() {
		l.log.Debug(text)
	} else {
		l.log.Warn(text)
	}
}

// Noticef and the two below are of no use to an operator.
func (l *logger) Noticef(format string, v ...any) { l.log.Debug(fmt.Sprintf(format, v...)) }

// Debugf drops the line.
func (l *logger) Debugf(string, ...any) {}

// Tracef drops the line.
func (l *logger) Tracef(string, ...any) {}
