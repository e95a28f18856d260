package server_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/socketeer-io/socketeer/test/bench/internal/need"
	"github.com/socketeer-io/socketeer/test/bench/internal/server"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a condition may take before its test fails.
const patience = 30 * time.Second

func kind(t *testing.T, name string) server.Kind {
	t.Helper()
	for _, k := range server.All() {
		if k.Name == name {
			return k
		}
	}
	t.Fatalf("no server %q", name)
	return server.Kind{}
}

func gone(pid int) bool { return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) }

// unexpected is called for processes that must not end.
func unexpected(t *testing.T) func(error) { return func(err error) { t.Error(err) } }

// startStop starts a server, looks at what it listens on, and stops it.
func startStop(t *testing.T, tools server.Tools, name string, nodes, processes int) {
	t.Helper()
	k := kind(t, name)
	if err := tools.Check([]server.Kind{k}); err != nil {
		t.Fatal(err)
	}
	s, err := tools.Start(t.Context(), k, nodes, unexpected(t))
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Addrs) != nodes || len(s.PIDs) != processes {
		t.Errorf("%d addresses and %d processes, want %d and %d", len(s.Addrs), len(s.PIDs), nodes, processes)
	}
	for _, addr := range s.Addrs {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Error(err)
			continue
		}
		c.Close()
	}
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
	for _, pid := range s.PIDs {
		if !gone(pid) {
			t.Errorf("process %d is still there", pid)
		}
	}
}

func TestOurs(t *testing.T)        { startStop(t, need.Ours(t), server.Ours, 1, 1) }
func TestOursCluster(t *testing.T) { startStop(t, need.Ours(t), server.Ours, 3, 3) }
func TestOursRecovery(t *testing.T) {
	startStop(t, need.Ours(t), "ours-recovery", 3, 3)
}
func TestOursRedis(t *testing.T)   { startStop(t, need.Cluster(t), "ours-redis", 3, 4) }
func TestOursStreams(t *testing.T) { startStop(t, need.Cluster(t), "ours-streams", 3, 4) }

func TestWS(t *testing.T)         { startStop(t, need.Peers(t), "ws", 1, 1) }
func TestUWS(t *testing.T)        { startStop(t, need.Peers(t), "uws", 1, 1) }
func TestWSRecovery(t *testing.T) { startStop(t, need.Peers(t), "ws-recovery", 1, 1) }
func TestWSRedis(t *testing.T)    { startStop(t, need.Cluster(t), "ws-redis", 3, 4) }
func TestUWSRedis(t *testing.T)   { startStop(t, need.Cluster(t), "uws-redis", 3, 4) }
func TestWSStreams(t *testing.T)  { startStop(t, need.Cluster(t), "ws-streams", 3, 4) }

func TestFreeAddrs(t *testing.T) {
	addrs, err := server.FreeAddrs(t.Context(), 20)
	if err != nil {
		t.Fatal(err)
	}
	// All at the same time, and none of them again while it is taken.
	for _, addr := range addrs {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
	}
	others, err := server.FreeAddrs(t.Context(), 20)
	if err != nil {
		t.Fatal(err)
	}
	for _, addr := range others {
		if slices.Contains(addrs, addr) {
			t.Errorf("%s is taken", addr)
		}
	}
}

// Whoever runs a session hears of a server that ends by itself.
func TestDied(t *testing.T) {
	tools := need.Ours(t)
	died := make(chan error, 1)
	s, err := tools.Start(t.Context(), kind(t, server.Ours), 1, func(err error) { died <- err })
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(s.PIDs[0], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-died:
		for _, want := range []string{"socketeer: ours (", "serve --app bench", "ended by itself (signal: killed)", "--servers"} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("no %q in: %v", want, err)
			}
		}
	case <-time.After(patience):
		t.Error("nobody heard of it")
	}
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
}

// A server that does not come up takes those down that did.
func TestStartFails(t *testing.T) {
	tools := need.Cluster(t)
	tools.Peers = t.TempDir() // without the application
	if err := os.WriteFile(filepath.Join(tools.Peers, "ws-server.js"), []byte("console.error('no application'); process.exit(3)"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := tools.Start(t.Context(), kind(t, "ws-redis"), 3, func(error) {})
	if err == nil || !strings.Contains(err.Error(), "(exit status 3); it said: no application") {
		t.Errorf("error %v", err)
	}
	// goleak: nobody waits for a Redis that still runs.
}

func TestStartInterrupted(t *testing.T) {
	tools := need.Ours(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("socketeer: enough")
	cancel(why)
	if _, err := tools.Start(ctx, kind(t, server.Ours), 3, unexpected(t)); !errors.Is(err, why) {
		t.Errorf("error %v, want %v", err, why)
	}
}

func TestCheck(t *testing.T) {
	empty := t.TempDir()
	nothing := filepath.Join(empty, "nothing")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	spaced := filepath.Join(empty, "no de")
	if err := os.WriteFile(spaced, nil, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name  string
		tools server.Tools
		kinds []string
		want  []string // parts of the error; none: it passes
	}{
		{"all there", server.Tools{Socketeer: self}, []string{server.Ours}, nil},
		{"not built", server.Tools{Socketeer: nothing}, []string{server.Ours}, []string{"run make build"}},
		{"no Node.js", server.Tools{Socketeer: self, Node: nothing, Peers: empty}, []string{"ws"}, []string{"install Node.js"}},
		{"no packages", server.Tools{Socketeer: self, Node: self, Peers: empty}, []string{"uws"}, []string{"run npm ci in " + empty}},
		{"no Redis", server.Tools{Socketeer: self, Node: self, Peers: empty, Redis: nothing}, []string{"ws-redis"}, []string{"run npm ci", "scripts/setup"}},
		{"space", server.Tools{Socketeer: self, Node: spaced, Peers: empty}, []string{"ws"}, []string{"a space in its path"}},
		{"what is not needed", server.Tools{Socketeer: self, Node: nothing, Peers: empty, Redis: nothing}, []string{server.Ours}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var kinds []server.Kind
			for _, name := range tt.kinds {
				kinds = append(kinds, kind(t, name))
			}
			err := tt.tools.Check(kinds)
			if (err == nil) != (tt.want == nil) {
				t.Fatalf("error %v", err)
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "socketeer: ") {
					t.Errorf("no %q in: %v", want, err)
				}
			}
		})
	}
}
