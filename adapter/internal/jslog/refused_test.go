package jslog_test

import (
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/socketeer-io/socketeer/adapter/internal/jslog"
)

// JetStream is there and takes no messages: the node is not ready until it takes
// them again, though there is nothing new to be kept.
func TestRefused(t *testing.T) {
	js := connect(t, t.TempDir())
	l := start(t, js, "a", func(c *jslog.Config) { c.KeepTimeout = 100 * time.Millisecond })
	emit(t, l, "/", "before")
	stream, err := js.Stream(patient(t), "test-log")
	if err != nil {
		t.Fatal(err)
	}
	cfg := stream.CachedInfo().Config
	room := cfg.MaxMsgs
	cfg.MaxMsgs, cfg.Discard = 1, jetstream.DiscardNew
	if _, err := js.UpdateStream(patient(t), cfg); err != nil {
		t.Fatal(err)
	}
	if offset := try(t, l, "/", "refused"); offset != "" {
		t.Errorf("kept at %s", offset)
	}
	eventually(t, "the node not to be ready", func() bool { err := l.Ready(); return err != nil && strings.Contains(err.Error(), "takes no messages") })
	cfg.MaxMsgs = room
	if _, err := js.UpdateStream(patient(t), cfg); err != nil {
		t.Fatal(err)
	}
	eventually(t, "readiness", func() bool { return l.Ready() == nil })
}

// What waits for its turn is bounded with what is to be kept, and counted.
func TestTurnsAreBounded(t *testing.T) {
	dir := t.TempDir()
	s := serve(t, dir, -1)
	l := start(t, dial(t, s), "a", func(c *jslog.Config) { c.BacklogBytes = 10_000 })
	emit(t, l, "/", "before")
	s.Shutdown()
	s.WaitForShutdown()
	body := []byte("/ waits")
	_, m, _, _ := decode(body)
	if err := l.Append("/", m, body, false, func(string) {}); err != nil {
		t.Fatal(err)
	}
	errs := 0
	for range 20 {
		if err := l.InTurn(1000, func(uint64) {}); err != nil {
			errs++
		}
	}
	if n := l.Stats().Drops.Backlog; errs == 0 || n != uint64(errs) {
		t.Errorf("%d refused, %d counted", errs, n)
	}
}

// In an outage that does not end, with more than may wait, what is old gives way:
// this node's clients go on getting what is new, and memory does not grow.
func TestOldGivesWay(t *testing.T) {
	t.Parallel()
	s := serve(t, t.TempDir(), -1)
	l := start(t, dial(t, s), "a", func(c *jslog.Config) { c.BacklogBytes, c.KeepTimeout = 10_000, 5*time.Millisecond })
	emit(t, l, "/", "before")
	s.Shutdown()
	s.WaitForShutdown()
	const count = 200
	for range count {
		if offset := try(t, l, "/", "meanwhile"); offset != "" {
			t.Fatalf("kept at %s without a server", offset)
		}
	}
	if n := l.Stats(); n.Unkept != count || n.Drops.Backlog == 0 {
		t.Errorf("%+v", n)
	}
}
