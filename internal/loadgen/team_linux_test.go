package loadgen_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/socketeer-io/socketeer"
	"github.com/socketeer-io/socketeer/internal/loadgen"
)

// shared makes a run one of several processes.
func shared(t *testing.T, cfg loadgen.Config, processes int) loadgen.Config {
	t.Helper()
	t.Setenv(asWorker, "works")
	t.Setenv("GORACE", "halt_on_error=1 atexit_sleep_ms=0") // a race in a process is to fail the run
	cfg.Processes, cfg.Worker = processes, []string{os.Args[0]}
	return cfg
}

func TestProcesses(t *testing.T) {
	addr := newServer(t)
	for name, change := range map[string]func(*loadgen.Config){
		"paced rooms":     func(c *loadgen.Config) { c.Rate = 2000 },
		"saturated rooms": func(*loadgen.Config) {},
		"paced echo":      func(c *loadgen.Config) { c.Mode, c.Rate = loadgen.Echo, 1000 },
		"direct":          func(c *loadgen.Config) { c.Mode = loadgen.Direct },
		"two loops each":  func(c *loadgen.Config) { c.Rate, c.Loops = 2000, 2 },
		"long polling":    func(c *loadgen.Config) { c.Polling = 0.5 },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := short(loadgen.Rooms, addr)
			change(&cfg)
			cfg.Duration = 1200 * time.Millisecond // a second, for the series, and more
			cfg = shared(t, cfg, 3)
			var lines int
			cfg.Progress = func(p loadgen.Progress) { lines++ }
			r := mustRun(t, cfg)
			checkLoad(t, cfg, r)
			if r.Processes != 3 || r.Conns != cfg.Conns || lines == 0 || len(r.Load.Series) == 0 {
				t.Errorf("%d processes, %d connections, %d lines, series %+v", r.Processes, r.Conns, lines, r.Load.Series)
			}
			if p := r.Polling; cfg.Polling > 0 && (p == nil || p.Messages == 0 || p.WebSocketMessages == 0) {
				t.Errorf("transports %+v", p)
			}
		})
	}
}

func TestProcessesIdle(t *testing.T) {
	addr := newServer(t, socketeer.WithPingInterval(50*time.Millisecond), socketeer.WithPingTimeout(20*time.Second))
	r := mustRun(t, shared(t, short(loadgen.Idle, addr), 2))
	if r.Hold == nil || r.Hold.Pings == 0 || r.Accept.PerSecond <= 0 || r.Lost != 0 {
		t.Errorf("held %+v, accept %+v, lost %d", r.Hold, r.Accept, r.Lost)
	}
}

func TestProcessesFail(t *testing.T) {
	addr := newServer(t)
	for want, change := range map[string]func(*testing.T, *loadgen.Config){
		"exit status 3; its output ends with: no such luck": func(t *testing.T, _ *loadgen.Config) { t.Setenv(asWorker, "fails") },
		"cannot start a process":                            func(_ *testing.T, c *loadgen.Config) { c.Worker = []string{"/nonexistent"} },
		"connection refused":                                func(_ *testing.T, c *loadgen.Config) { c.Addrs = []string{"127.0.0.1:1"} },
		"no command to start them":                          func(_ *testing.T, c *loadgen.Config) { c.Worker = nil },
		"takes 1 to 64":                                     func(_ *testing.T, c *loadgen.Config) { c.Processes = 65 },
		"4 processes for 3 rooms":                           func(_ *testing.T, c *loadgen.Config) { c.Processes = 4 },
	} {
		t.Run(want, func(t *testing.T) {
			cfg := shared(t, short(loadgen.Rooms, addr), 2)
			change(t, &cfg)
			_, err := loadgen.Run(t.Context(), cfg)
			if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "socketeer: ") {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestProcessesEndWithContext(t *testing.T) {
	cfg := shared(t, short(loadgen.Rooms, newServer(t)), 2)
	cfg.Duration = time.Hour
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	cfg.Progress = func(loadgen.Progress) { cancel() }
	if _, err := loadgen.Run(ctx, cfg); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestFileLimit(t *testing.T) {
	for want, change := range map[string]func(*loadgen.Config){
		"a process of the load generator may have": func(c *loadgen.Config) { c.Processes = 1 },
		"server process(es) may have":              func(c *loadgen.Config) { c.PIDs = []int{os.Getpid()} },
		"more than 64 processes are too many":      func(*loadgen.Config) {},
		"among more processes (--processes)":       func(c *loadgen.Config) { c.Mode, c.Processes = loadgen.Storm, 2 },
		"or have smaller rooms (--room)":           func(c *loadgen.Config) { c.Room = c.Conns },
		"the room is in one":                       func(c *loadgen.Config) { c.Mode = loadgen.Broadcast },
	} {
		cfg := shared(t, short(loadgen.Rooms, newServer(t)), 0)
		cfg.Conns, cfg.PIDs = 1<<30, nil
		change(&cfg)
		_, err := loadgen.Run(t.Context(), cfg)
		var limit *loadgen.FileLimitError
		if !errors.As(err, &limit) || !strings.Contains(err.Error(), want) || limit.Need <= limit.Have || limit.Have == 0 {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}

func TestWorkerWithoutShare(t *testing.T) {
	for _, in := range []string{"", "nonsense"} {
		if err := loadgen.Work(t.Context(), strings.NewReader(in), &strings.Builder{}); err == nil {
			t.Errorf("%q: no error", in)
		}
	}
	var out strings.Builder
	if err := loadgen.Work(t.Context(), strings.NewReader(`{"Config":{"Mode":"sunny"},"Parts":1}`), &out); err != nil || !strings.Contains(out.String(), "sunny") {
		t.Errorf("%v, told %q", err, out.String())
	}
}

// TestReplacedFit has all clients on the last of the servers, or nearly.
func TestReplacedFit(t *testing.T) {
	for _, tt := range []struct{ conns, servers, want int }{
		{1000, 1, 1000},
		{1000, 2, 1000},
		{10_000, 3, 7847}, // 3/4, and four times the root of that
		{10_000, 5, 5163},
		{4, 3, 4},
	} {
		if got := loadgen.WhileReplaced(tt.conns, tt.servers); got != tt.want {
			t.Errorf("%d connections on %d servers: %d, want %d", tt.conns, tt.servers, got, tt.want)
		}
	}
	if err := loadgen.ReplacedFit([]int{os.Getpid()}, 10); err != nil {
		t.Error(err)
	}
	var limit *loadgen.FileLimitError
	err := loadgen.ReplacedFit([]int{os.Getpid(), os.Getpid()}, 1<<30)
	if !errors.As(err, &limit) || limit.Servers != 2 || limit.Need != 1<<30+loadgen.SpareFiles || !strings.Contains(err.Error(), "start more servers (--nodes)") {
		t.Errorf("got %v", err)
	}
}
