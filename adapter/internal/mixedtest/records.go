package mixedtest

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// records is what nodes log that somebody should look at.
type records struct {
	mu    sync.Mutex
	lines map[string][]string // by node
}

// of returns the handler of a node.
func (r *records) of(node string) slog.Handler { return recorder{r, node} }

// all returns what a node has logged.
func (r *records) all(node string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.lines[node]...)
}

// recorder implements slog.Handler.
type recorder struct {
	*records
	node string
}

func (recorder) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelWarn }

func (h recorder) Handle(_ context.Context, r slog.Record) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.lines == nil {
		h.lines = make(map[string][]string)
	}
	h.lines[h.node] = append(h.lines[h.node], r.Message)
	return nil
}

func (h recorder) WithAttrs([]slog.Attr) slog.Handler { return h }

func (h recorder) WithGroup(string) slog.Handler { return h }

// Moment waits for a moment, or returns the error of ctx when it ends before.
func Moment(ctx context.Context) error {
	t := time.NewTimer(20 * time.Millisecond)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
