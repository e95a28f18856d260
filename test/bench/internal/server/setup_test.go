package server_test

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/socketeer-io/socketeer/test/bench/internal/need"
	"github.com/socketeer-io/socketeer/test/bench/internal/scenario"
	"github.com/socketeer-io/socketeer/test/bench/internal/server"
)

func TestPlays(t *testing.T) {
	for _, s := range scenario.All() {
		var got []string
		for _, k := range server.All() {
			if k.Plays(s) {
				got = append(got, k.Name)
			}
		}
		want := "ours uws ws"
		switch {
		case s.Replaces():
			want = "ours ours-recovery uws-redis ws-redis ws-streams ws-streams-recovery"
		case s.FansOut():
			want = "ours ours-nats ours-redis ours-sharded ours-streams uws-redis ws-redis ws-streams"
		case s.Nodes == 3:
			want = "ours uws-redis ws-redis ws-streams"
		case s.Name == "drops":
			want = "ours ours-recovery uws ws ws-recovery"
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: got %v, want %s", s.Name, got, want)
		}
	}
}

// What nodes that others start are told, and with what they find each other.
func TestPrepare(t *testing.T) {
	tools := need.Cluster(t)
	s, err := tools.Prepare(t.Context(), kind(t, "ws-streams"), unexpected(t))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Join(s.Load(), " "), fmt.Sprint("--serve node ws-server.js {port} --pid ", s.PIDs[0]); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	dir, env := s.Surroundings()
	if dir != tools.Peers || len(s.Addrs) != 0 || len(s.PIDs) != 1 {
		t.Errorf("in %s, with nodes at %v and %d processes", dir, s.Addrs, len(s.PIDs))
	}
	if !slices.Contains(env, "ADAPTER=redis-streams") {
		t.Error("no adapter")
	}
	at, err := url.Parse(value(env, "REDIS_URL"))
	if err != nil || at.Scheme != "redis" || at.Port() == "" {
		t.Errorf("Redis at %v, %v", at, err)
	}
	if err := s.Stop(); err != nil || !gone(s.PIDs[0]) {
		t.Errorf("Redis runs, or %v", err)
	}
}

func TestPrepareOurs(t *testing.T) {
	tools := server.Tools{}
	for name, want := range map[string]string{server.Ours: "--adapter mesh", "ours-recovery": "--adapter mesh --recover"} {
		s, err := tools.Prepare(t.Context(), kind(t, name), unexpected(t))
		if err != nil {
			t.Fatal(err)
		}
		if dir, env := s.Surroundings(); dir != "" || strings.Join(s.Load(), " ") != want || len(env) == 0 {
			t.Errorf("%s: %v in %q, %d variables", name, s.Load(), dir, len(env))
		}
	}
}

func TestPrepareRecovery(t *testing.T) {
	tools := server.Tools{Node: "node", Peers: "/peers"}
	s, err := tools.Prepare(t.Context(), kind(t, "ws-recovery"), unexpected(t))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Join(s.Load(), " "), "--serve node ws-server.js {port} --recover"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if _, env := s.Surroundings(); value(env, "RECOVERY") != "1" || value(env, "ADAPTER") != "" {
		t.Errorf("RECOVERY=%s ADAPTER=%s", value(env, "RECOVERY"), value(env, "ADAPTER"))
	}
}

func value(env []string, name string) string {
	for _, v := range env {
		if after, ok := strings.CutPrefix(v, name+"="); ok {
			return after
		}
	}
	return ""
}
