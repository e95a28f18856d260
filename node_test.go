package socketeer_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/socketeer-io/socketeer"
	clusteradapter "github.com/socketeer-io/socketeer/adapter/cluster"
	"github.com/socketeer-io/socketeer/cluster"
)

// node is a server that listens.
type node struct {
	*socketeer.Server
	url string
	log *logBuffer
	// Of a cluster's node:
	member *clusteradapter.Node
	bus    *clusteradapter.LocalBus
	// Of a node that shares a log:
	logs *logCluster
}

// start starts a server of its own. It is closed with the test.
func start(t testing.TB, opts ...socketeer.Option) *node {
	t.Helper()
	log := &logBuffer{}
	logger := slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	srv, err := socketeer.NewServer(append([]socketeer.Option{socketeer.WithLogger(logger)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(srv)
	t.Cleanup(func() {
		if err := srv.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		web.Close()
	})
	return &node{Server: srv, url: web.URL, log: log}
}

// startCluster starts n servers that know each other.
func startCluster(t testing.TB, n int, opts ...socketeer.Option) []*node {
	t.Helper()
	hub := clusteradapter.NewHub()
	var nodes []*node
	var members []*clusteradapter.Node
	for i := range n {
		identity, err := cluster.NewIdentity(fmt.Sprintf("node-%d", i))
		if err != nil {
			t.Fatal(err)
		}
		bus := hub.Bus()
		member, err := clusteradapter.New(bus, clusteradapter.Config{
			Identity: identity, Interval: 100 * time.Millisecond, Timeout: 5 * time.Second,
			LeaveDelay: 20 * time.Millisecond,
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := member.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			if err := member.Close(ctx); err != nil {
				t.Errorf("closing node %d: %v", i, err)
			}
			if err := bus.Close(); err != nil {
				t.Errorf("closing bus %d: %v", i, err)
			}
		})
		members = append(members, member)
		nodes = append(nodes, start(t, slices.Concat(opts, []socketeer.Option{socketeer.WithAdapter(member)})...))
		nodes[i].member, nodes[i].bus = member, bus
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for _, m := range members {
		if err := m.WaitPeers(ctx, n-1); err != nil {
			t.Fatal(err)
		}
	}
	return nodes
}

// everywhere calls f with one node, and with three, to whose first the client
// at home connects; the others are the cluster's business.
func everywhere(t *testing.T, f func(t *testing.T, nodes []*node)) {
	t.Run("alone", func(t *testing.T) { f(t, []*node{start(t)}) })
	t.Run("cluster", func(t *testing.T) { f(t, startCluster(t, 3)) })
}

// ctx bounds a test's operation.
func ctx(t testing.TB) context.Context {
	t.Helper()
	c, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return c
}

// logBuffer keeps what a server logs.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

// has reports whether there is a line with all of these.
func (l *logBuffer) has(parts ...string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.b.String()) {
		if !slices.ContainsFunc(parts, func(p string) bool { return !strings.Contains(line, p) }) {
			return true
		}
	}
	return false
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// until waits for a condition.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not in time: %s", what)
		}
	}
}

// recv waits for a value.
func recv[T any](t testing.TB, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatalf("not in time: %s", what)
	}
	panic("unreachable")
}

// equal compares lists regardless of their order.
func equal(t testing.TB, what string, got, want []string) {
	t.Helper()
	got, want = slices.Clone(got), slices.Clone(want)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Fatalf("%s: got %q, want %q", what, got, want)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// socket returns the server's side of a member.
func (n *node) socket(t testing.TB, m *member) *socketeer.Socket {
	t.Helper()
	var s *socketeer.Socket
	until(t, "the server knows "+m.id, func() (ok bool) {
		s, ok = n.Of(m.nsp).Socket(m.id)
		return ok
	})
	return s
}

// list collects what handlers saw.
type list struct {
	mu    sync.Mutex
	items []string
}

func (l *list) add(item string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.items = append(l.items, item)
}

func (l *list) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.items)
}

// get makes a request and returns status and body.
func get(t testing.TB, url string, header http.Header) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx(t), http.MethodGet, url, nil)
	must(t, err)
	for name, values := range header {
		req.Header[name] = values
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	must(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	must(t, err)
	return resp.StatusCode, string(body)
}

// post sends a polling payload.
func post(t testing.TB, url, payload string) {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx(t), http.MethodPost, url, strings.NewReader(payload))
	must(t, err)
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	must(t, err)
	must(t, resp.Body.Close())
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("status %d", resp.StatusCode)
	}
}
