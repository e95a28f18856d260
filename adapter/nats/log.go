package nats

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
)

// serverLog passes the embedded server's log on. What it calls a notice is
// chatter to us.
type serverLog struct {
	log   *slog.Logger
	fatal chan error // capacity 1: the first reason why it cannot start
}

func (l *serverLog) write(level slog.Level, format string, v []any) {
	if l.log.Enabled(context.Background(), level) {
		l.log.Log(context.Background(), level, "nats: "+fmt.Sprintf(strings.TrimSuffix(format, "\n"), v...))
	}
}

func (l *serverLog) Noticef(format string, v ...any) { l.write(slog.LevelDebug, format, v) }

// Warnf leaves out that the passwords are not hashed: they are random, and
// never leave the process. That JetStream writes down its state is no news.
func (l *serverLog) Warnf(format string, v ...any) {
	switch {
	case strings.Contains(format, "Plaintext passwords"):
	case strings.Contains(format, "Metalayer blocking snapshot"):
		l.write(slog.LevelDebug, format, v)
	default:
		l.write(slog.LevelWarn, format, v)
	}
}

// Errorf is mostly about peers that cannot be reached, which is normal for a
// while when a cluster starts. The server reports the first attempt and then
// one in 3600.
func (l *serverLog) Errorf(format string, v ...any) {
	level := slog.LevelWarn
	if strings.Contains(format, "Error trying to connect to route") {
		level = slog.LevelInfo
	}
	l.write(level, format, v)
}
func (l *serverLog) Debugf(format string, v ...any) {}
func (l *serverLog) Tracef(format string, v ...any) {}

// Fatalf is called for what keeps the server from starting. It must not end
// the process, and the error is returned instead of logged.
func (l *serverLog) Fatalf(format string, v ...any) {
	err := fmt.Errorf(strings.ReplaceAll(strings.TrimSuffix(format, "\n"), "%v", "%w"), v...)
	for _, a := range v {
		if e, ok := a.(error); ok {
			err = e
		}
	}
	select {
	case l.fatal <- err:
	default:
	}
}
