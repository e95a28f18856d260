package jslog_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/socketeer-io/socketeer/adapter"
	"github.com/socketeer-io/socketeer/adapter/internal/jslog"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 20 * time.Second

func patient(tb testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	tb.Cleanup(cancel)
	return ctx
}

func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); !cond(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("waited %v for %s", patience, what)
		}
	}
}

// connect starts a NATS server, with JetStream if that has a directory, and
// connects to it.
func connect(t *testing.T, dir string) jetstream.JetStream {
	t.Helper()
	return dial(t, serve(t, dir, -1))
}

func serve(t *testing.T, dir string, port int) *server.Server {
	t.Helper()
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: port, NoSigs: true, NoLog: true, JetStream: dir != "", StoreDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(patience) {
		t.Fatal("no nats server")
	}
	return s
}

func dial(t *testing.T, s *server.Server) jetstream.JetStream {
	t.Helper()
	nc, err := natsgo.Connect(s.ClientURL(), natsgo.MaxReconnects(-1), natsgo.ReconnectWait(20*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

// decode reads the bodies of these tests: namespace, a blank, data.
func decode(body []byte) (string, *adapter.Message, uint64, error) {
	nsp, data, ok := strings.Cut(string(body), " ")
	if !ok {
		return "", nil, 0, errors.New("no blank")
	}
	return nsp, &adapter.Message{Kind: adapter.Broadcast, Data: []byte(data)}, 0, nil
}

func start(t *testing.T, js jetstream.JetStream, self string, adjust func(*jslog.Config)) *jslog.Log {
	t.Helper()
	c := jslog.Config{JS: js, Self: self + strings.Repeat("x", 16-len(self)), Stream: "test", MaxPayload: 1 << 20}
	if adjust != nil {
		adjust(&c)
	}
	l, err := jslog.New(patient(t), c)
	if err != nil {
		t.Fatal(err)
	}
	l.Start(decode, func(string) bool { return false })
	t.Cleanup(func() { l.Close(patient(t)) })
	return l
}

func emit(t *testing.T, l *jslog.Log, nsp, data string) (offset string) {
	t.Helper()
	if offset = try(t, l, nsp, data); offset == "" {
		t.Fatalf("%s is not kept", data)
	}
	return offset
}

// try emits what may not be kept.
func try(t *testing.T, l *jslog.Log, nsp, data string) (offset string) {
	t.Helper()
	kept := make(chan string, 1)
	_, m, _, _ := decode([]byte(nsp + " " + data))
	if err := l.Append(nsp, m, []byte(nsp+" "+data), false, func(offset string) { kept <- offset }); err != nil {
		t.Fatal(err)
	}
	return <-kept
}

func missed(t *testing.T, l *jslog.Log, nsp, offset string) string {
	t.Helper()
	list, err := l.Missed(patient(t), nsp, &adapter.Session{Rooms: []string{"x"}}, offset)
	if err != nil {
		var u *adapter.Unrecoverable
		if !errors.As(err, &u) {
			t.Fatal(err)
		}
		return u.Reason
	}
	var data []string
	for _, m := range list {
		data = append(data, string(m.Data))
	}
	return strings.Join(data, " ")
}

// What was removed because it was too old cannot be missing: a client that was
// there all the time recovers, whether its node remembers or has just started.
func TestAged(t *testing.T) {
	js := connect(t, t.TempDir())
	brief := func(c *jslog.Config) { c.Retain, c.Grace = 500*time.Millisecond, 500*time.Millisecond }
	old := start(t, js, "old", brief)
	s, err := js.Stream(patient(t), "test-log")
	if err != nil {
		t.Fatal(err)
	}
	mine := emit(t, old, "/", "mine")
	emit(t, old, "/", "other")
	eventually(t, "both to be too old", func() bool {
		info, err := s.Info(patient(t))
		return err == nil && info.State.Msgs == 0
	})
	fresh := start(t, js, "fresh", brief)
	for range 3 {
		if got := missed(t, fresh, "/", mine); got != "" {
			t.Errorf("a fresh node: got %q", got)
		}
	}
	if n := fresh.Stats().Scans; n > 1 {
		t.Errorf("the stream was looked at %d times", n)
	}
	emit(t, old, "/", "new")
	for name, l := range map[string]*jslog.Log{"old": old, "fresh": fresh} {
		if got := missed(t, l, "/", mine); got != "new" {
			t.Errorf("the %s node: got %q", name, got)
		}
	}
}

func TestOffsets(t *testing.T) {
	js := connect(t, t.TempDir())
	l := start(t, js, "a", nil)
	first := emit(t, l, "/", "first")
	foreign := emit(t, l, "/other", "foreign")
	last := emit(t, l, "/", "last")
	fresh := start(t, js, "b", nil)
	part := strings.Split(last, ".")
	join := func(p ...string) string { return strings.Join(p, ".") }
	for _, c := range []struct{ offset, want string }{
		{first, "last"}, {last, ""}, {foreign, adapter.BadOffset}, {"", adapter.BadOffset}, {"0.0.0.0", adapter.BadOffset},
		{join(part[0], "zz", part[2], part[3]), adapter.BadOffset},
		{join(part[0], part[1], "1", part[3]), adapter.BadOffset},
		{join(part[0], part[1], part[2], "1"), adapter.BadOffset},
		{join(part[0], part[1], part[2], "-1"), adapter.BadOffset},
		{join("1", part[1], part[2], part[3]), adapter.BadOffset},
		{join("0"+part[0], part[1], part[2], part[3]), adapter.BadOffset},
		{strings.ToUpper(last), adapter.BadOffset}, {last + ".0", adapter.BadOffset}, {"+" + last, adapter.BadOffset},
	} {
		for name, l := range map[string]*jslog.Log{"old": l, "fresh": fresh} {
			if got := missed(t, l, "/", c.offset); got != c.want {
				t.Errorf("%s node, offset %q: got %q, want %q", name, c.offset, got, c.want)
			}
		}
	}
}

// What is written together has one sequence and offsets of its own, and clients
// can come back between.
func TestBatches(t *testing.T) {
	js := connect(t, t.TempDir())
	l := start(t, js, "a", nil)
	const count = 2000
	offsets := make([]string, count)
	done := make(chan struct{})
	for i := range count {
		body := []byte(fmt.Sprint("/ ", i))
		_, m, _, _ := decode(body)
		if err := l.Append("/", m, body, false, func(offset string) {
			if offsets[i] = offset; i == count-1 {
				close(done)
			}
		}); err != nil {
			t.Fatal(err)
		}
	}
	<-done
	eventually(t, "the answers", func() bool { return l.Stats().Written == count }) // messages may come back before
	if s := l.Stats(); s.Batches > count/4 {
		t.Errorf("%d messages in %d batches", s.Written, s.Batches)
	}
	fresh := start(t, js, "b", nil)
	for _, i := range []int{count - 1, count - 2, 1000, 999, 17, 0} {
		got := missed(t, fresh, "/", offsets[i])
		if n := len(strings.Fields(got)); n != count-1-i || n > 0 && !strings.HasPrefix(got, fmt.Sprint(i+1, " ")) && n > 1 {
			t.Errorf("after %d: %d messages, %.20q", i, n, got)
		}
	}
}

// What waits for longer than PublishTimeout is dropped and counted, and nobody
// recovers across it; a marker of that is not dropped.
func TestGivenUp(t *testing.T) {
	dir := t.TempDir()
	s := serve(t, dir, -1)
	js := dial(t, s)
	l := start(t, js, "a", func(c *jslog.Config) { c.KeepTimeout, c.PublishTimeout = 100*time.Millisecond, 300*time.Millisecond })
	before := emit(t, l, "/", "before")
	port := s.Addr().(*net.TCPAddr).Port
	s.Shutdown()
	s.WaitForShutdown()
	const count = 20
	given := make(chan string, count)
	for i := range count {
		body := []byte(fmt.Sprint("/ ", i))
		_, m, _, _ := decode(body)
		if err := l.Append("/", m, body, false, func(offset string) { given <- offset }); err != nil {
			t.Fatal(err)
		}
	}
	for range count {
		if offset := <-given; offset != "" {
			t.Errorf("kept at %s without a server", offset)
		}
	}
	eventually(t, "all to be dropped", func() bool { d := l.Stats().Drops; return d.Late+d.Unsure == count })
	eventually(t, "the loss to be noticed", func() bool { return l.Ready() != nil })
	if got := missed(t, l, "/", before); got != adapter.Gap {
		t.Errorf("without a server: %q", got)
	}
	serve(t, dir, port)
	eventually(t, "readiness", func() bool { return l.Ready() == nil })
	eventually(t, "to recover again", func() bool {
		offset := try(t, l, "/", "after")
		return offset != "" && missed(t, l, "/", offset) == ""
	})
	fresh := start(t, js, "b", nil)
	for name, l := range map[string]*jslog.Log{"old": l, "fresh": fresh} {
		if got := missed(t, l, "/", before); got != adapter.Gap {
			t.Errorf("%s node: %q", name, got)
		}
	}
}

func TestErrorsSayWhatToDo(t *testing.T) {
	none, one := connect(t, ""), connect(t, t.TempDir())
	for name, c := range map[string]struct {
		cfg  jslog.Config
		want string
	}{
		"no JetStream": {jslog.Config{JS: none}, "start it with -js"},
		"three of one": {jslog.Config{JS: one, Replicas: 3}, "a cluster of as many NATS servers"},
		"no room":      {jslog.Config{JS: one, MaxBytes: 1 << 60}, "give JetStream more"},
		"too many":     {jslog.Config{JS: one, Replicas: 6}, "1 to 5"},
		"too small":    {jslog.Config{JS: one, MaxBytes: 1}, "too small"},
	} {
		c.cfg.Self, c.cfg.Stream, c.cfg.MaxPayload = "0123456789abcdef", "test", 1<<20
		if _, err := jslog.New(patient(t), c.cfg); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
