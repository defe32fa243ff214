package quorum

import (
	"context"
	"fmt"
	"log/slog"
)

// raftLogger lets raft speak through slog. Raft's own info lines are written for its authors, so they are debug here;
// what an operator needs is logged by the Quorum itself.
type raftLogger struct{ *slog.Logger }

func (l raftLogger) at(level slog.Level, v ...any) {
	if l.Enabled(context.Background(), level) {
		l.Log(context.Background(), level, "raft: "+fmt.Sprint(v...))
	}
}

func (l raftLogger) atf(level slog.Level, format string, v ...any) {
	if l.Enabled(context.Background(), level) {
		l.Log(context.Background(), level, "raft: "+fmt.Sprintf(format, v...))
	}
}

func (l raftLogger) Debug(v ...any)                   { l.at(slog.LevelDebug, v...) }
func (l raftLogger) Debugf(format string, v ...any)   { l.atf(slog.LevelDebug, format, v...) }
func (l raftLogger) Info(v ...any)                    { l.at(slog.LevelDebug, v...) }
func (l raftLogger) Infof(format string, v ...any)    { l.atf(slog.LevelDebug, format, v...) }
func (l raftLogger) Warning(v ...any)                 { l.at(slog.LevelWarn, v...) }
func (l raftLogger) Warningf(format string, v ...any) { l.atf(slog.LevelWarn, format, v...) }
func (l raftLogger) Error(v ...any)                   { l.at(slog.LevelError, v...) }
func (l raftLogger) Errorf(format string, v ...any)   { l.atf(slog.LevelError, format, v...) }
func (l raftLogger) Fatal(v ...any)                   { panic("raft: " + fmt.Sprint(v...)) }
func (l raftLogger) Fatalf(format string, v ...any)   { panic("raft: " + fmt.Sprintf(format, v...)) }
func (l raftLogger) Panic(v ...any)                   { panic("raft: " + fmt.Sprint(v...)) }
func (l raftLogger) Panicf(format string, v ...any)   { panic("raft: " + fmt.Sprintf(format, v...)) }
