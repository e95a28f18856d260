package loadgen_test

import (
	"encoding/json"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/socketeer-io/socketeer/internal/loadgen"
)

func TestRunStorm(t *testing.T) {
	one, two := []string{newServer(t)}, newCluster(t, 2)
	for name, change := range map[string]func(*loadgen.Config){
		"at once":               func(c *loadgen.Config) { c.ReconnectDelay = -1 },
		"after a delay":         func(c *loadgen.Config) { c.ReconnectDelay = 100 * time.Millisecond },
		"fin":                   func(c *loadgen.Config) { c.ReconnectDelay, c.Cut = -1, loadgen.FIN },
		"half on polling":       func(c *loadgen.Config) { c.ReconnectDelay, c.Polling = -1, 0.5 },
		"two loops and servers": func(c *loadgen.Config) { c.ReconnectDelay, c.Loops, c.Addrs = -1, 2, two },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := short(loadgen.Storm, one...)
			cfg.Duration = 20 * time.Second
			change(&cfg)
			r := mustRun(t, cfg)
			s := r.Storm
			if s == nil || s.Conns != cfg.Conns || s.Back != cfg.Conns || s.Failed != 0 || r.Lost != 0 {
				t.Fatalf("%+v, lost %d (%s)", s, r.Lost, r.LostWhy)
			}
			if s.Seconds <= 0 || s.Seconds > 20 || s.PerSecond <= 0 || s.Server == nil || s.PeakKiB <= 0 {
				t.Errorf("%+v", s)
			}
			wayBack(t, s)
			longest := s.Seconds * 1000
			if q := s.Return; !(0 < q.P50 && q.P50 <= q.P99 && q.P99 <= q.Max && q.Max <= longest*1.01) {
				t.Errorf("time to return %+v, all were back after %g ms", q, longest)
			}
			if earliest := cfg.ReconnectDelay.Seconds() * 1000 / 2; s.Return.P50 < earliest {
				t.Errorf("half were back after %g ms, before %g", s.Return.P50, earliest)
			}
			if (r.Polling != nil) != (cfg.Polling > 0) || r.Polling != nil && r.Polling.Latency.P99 <= 0 {
				t.Errorf("%+v", r.Polling)
			}
			for _, want := range []string{"storm, rooms of 8", "time to return, ms", "failed attempts", "peak memory", "other processes", "us per return"} {
				if table := tableOf(t, r); !strings.Contains(table, want) {
					t.Errorf("no %q in\n%s", want, table)
				}
			}
			b, err := json.Marshal(r)
			if err != nil {
				t.Fatal(err)
			}
			var again loadgen.Report
			if err := json.Unmarshal(b, &again); err != nil || !reflect.DeepEqual(*r, again) {
				t.Errorf("%v\n%+v\ncame back from JSON as\n%+v", err, *r, again)
			}
		})
	}
}

// wayBack checks the course of a storm, in which all came back.
func wayBack(t *testing.T, s *loadgen.Reconnection) {
	t.Helper()
	at, returned := 0.0, 0.0
	for _, step := range s.Series {
		returned += step.PerSecond * (step.At - at)
		if step.At <= at || step.ServerKiB <= 0 || step.ServerCores < 0 || step.P50 != 0 {
			t.Errorf("%+v after %g s", step, at)
		}
		at = step.At
	}
	if len(s.Series) == 0 || s.Series[len(s.Series)-1].Back != s.Back || math.Abs(returned-float64(s.Back)) > 0.01 {
		t.Errorf("%d are back, %g on the way: %+v", s.Back, returned, s.Series)
	}
	if at < s.Seconds || at > s.Seconds+5 {
		t.Errorf("the course ends after %g s, all were back after %g", at, s.Seconds)
	}
}

// TestStormIsTriedAgain refuses the first attempts to come back, some with an
// answer and some without.
func TestStormIsTriedAgain(t *testing.T) {
	const conns, refused = 24, 30
	io := newServerHandler(t)
	var requests atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := requests.Add(1) - conns
		switch {
		case n <= 0 || n > refused:
			io.ServeHTTP(w, r)
		case n%2 == 0:
			http.Error(w, "full", http.StatusServiceUnavailable)
		default:
			panic(http.ErrAbortHandler)
		}
	}))
	t.Cleanup(srv.Close)
	cfg := short(loadgen.Storm, srv.Listener.Addr().String())
	cfg.Duration, cfg.ReconnectDelay = 30*time.Second, 10*time.Millisecond
	r := mustRun(t, cfg)
	if s := r.Storm; s.Back != conns || s.Failed != refused || s.FailedWhy == "" || r.Lost != 0 {
		t.Errorf("%+v", s)
	}
	if s := tableOf(t, r); !strings.Contains(s, "30, tried again (socketeer: ") {
		t.Error(s)
	}
}

// TestStormWithoutReturn lets the server go when the connections are cut.
func TestStormWithoutReturn(t *testing.T) {
	io := newServerHandler(t)
	srv := httptest.NewUnstartedServer(io)
	var once atomic.Bool
	closed := make(chan struct{})
	srv.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew && once.Load() {
			t.Error("a connection to a listener that is closed")
		}
	}
	srv.Start()
	t.Cleanup(srv.Close)
	cfg := short(loadgen.Storm, srv.Listener.Addr().String())
	cfg.Settle, cfg.Duration, cfg.ReconnectDelay = 3*time.Second, 300*time.Millisecond, 10*time.Millisecond
	cfg.Progress = func(p loadgen.Progress) {
		if p.Phase == "settle" && once.CompareAndSwap(false, true) {
			srv.Listener.Close()
			close(closed)
		}
	}
	r := mustRun(t, cfg)
	<-closed
	if s := r.Storm; s.Back != 0 || s.Conns != cfg.Conns || s.Failed < cfg.Conns || !strings.Contains(s.FailedWhy, "refused") {
		t.Errorf("%+v", s)
	}
	steps := r.Storm.Series
	if n := len(steps); n < 2 || steps[n-1].At < 0.3 || steps[n-1].Back != 0 {
		t.Errorf("the course of nobody: %+v", steps)
	}
}
