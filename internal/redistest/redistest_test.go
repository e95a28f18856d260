package redistest_test

import (
	"context"
	"testing"
	"time"

	"github.com/socketeer-io/socketeer/internal/redistest"
)

func TestServer(t *testing.T) {
	for name, o := range map[string]redistest.Options{
		"plain": {}, "password": {Password: "secret"}, "user": {User: "u", UserPassword: "pw"},
		"tls": {TLS: true, Password: "secret"}, "unix": {Unix: true},
	} {
		t.Run(name, func(t *testing.T) {
			s := redistest.Standalone(t, o)
			s.Must("SET", "k", "v")
			if v := s.Must("GET", "k"); v != "v" {
				t.Errorf("%v", v)
			}
			s.Restart()
			if v := s.Must("GET", "k"); v != nil {
				t.Errorf("%v survived", v)
			}
		})
	}
}

func TestPause(t *testing.T) {
	s := redistest.Standalone(t)
	s.Pause()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if v, err := s.Do(ctx, "PING"); err == nil {
		t.Errorf("a paused server says %v", v)
	}
	s.Resume()
	s.Must("PING")
	s.Kill()
	if v, err := s.Do(t.Context(), "PING"); err == nil {
		t.Errorf("a killed server says %v", v)
	}
}

func TestCluster(t *testing.T) {
	c := redistest.Cluster(t, 1)
	owner := c.Owner(0)
	if owner != c.Nodes[0] {
		t.Fatal("another node owns slot 0")
	}
	c.Move(0, c.Nodes[1])
	if c.Owner(0) != c.Nodes[1] {
		t.Error("the slot has not moved")
	}
}

func TestSentinel(t *testing.T) {
	set := redistest.Sentinel(t)
	if got := set.Current(); got != set.Master.Addr() {
		t.Errorf("%s is the master, want %s", got, set.Master.Addr())
	}
}
