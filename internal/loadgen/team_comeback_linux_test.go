package loadgen_test

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/socketeer-io/socketeer/internal/loadgen"
)

// byOneAndTwo runs a configuration in this process and in two others.
func byOneAndTwo(t *testing.T, cfg loadgen.Config) (one, two *loadgen.Report) {
	t.Helper()
	one, two = mustRun(t, cfg), mustRun(t, shared(t, cfg, 2))
	if two.Processes != 2 || one.Conns != two.Conns || one.Rooms != two.Rooms || one.Room != two.Room || one.Rate != two.Rate {
		t.Errorf("one process: %+v\ntwo: %+v", one, two)
	}
	if one.Lost != two.Lost {
		t.Errorf("lost %d and %d (%s)", one.Lost, two.Lost, two.LostWhy)
	}
	return one, two
}

func TestProcessesStorm(t *testing.T) {
	one, two := []string{newServer(t)}, newCluster(t, 2)
	for name, change := range map[string]func(*loadgen.Config){
		"at once":               func(c *loadgen.Config) { c.ReconnectDelay = -1 },
		"after a delay":         func(c *loadgen.Config) { c.ReconnectDelay = 100 * time.Millisecond },
		"two loops and servers": func(c *loadgen.Config) { c.ReconnectDelay, c.Loops, c.Addrs, c.Conns = -1, 2, two, 48 },
		"half on polling":       func(c *loadgen.Config) { c.ReconnectDelay, c.Polling = -1, 0.5 },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := short(loadgen.Storm, one...)
			cfg.Duration = 20 * time.Second
			change(&cfg)
			_, r := byOneAndTwo(t, cfg)
			s := r.Storm
			if s == nil || s.Conns != cfg.Conns || s.Back != cfg.Conns || s.Failed != 0 || r.Lost != 0 {
				t.Fatalf("%+v, lost %d (%s)", s, r.Lost, r.LostWhy)
			}
			wayBack(t, s)
			if q := s.Return; !(0 < q.P50 && q.P50 <= q.P99 && q.P99 <= q.Max && q.Max <= s.Seconds*1000*1.01) {
				t.Errorf("time to return %+v, all were back after %g s", q, s.Seconds)
			}
			if earliest := cfg.ReconnectDelay.Seconds() * 1000 / 2; s.Return.P50 < earliest {
				t.Errorf("half were back after %g ms, before %g", s.Return.P50, earliest)
			}
			if s.PerSecond <= 0 || s.Server == nil || s.PeakKiB <= 0 || s.Generator.Seconds <= 0 {
				t.Errorf("%+v", s)
			}
			if p := r.Polling; cfg.Polling > 0 && (p == nil || p.Messages+p.WebSocketMessages != uint64(cfg.Conns)) {
				t.Errorf("of %d returns, %+v", cfg.Conns, p)
			}
		})
	}
}

// TestProcessesCutTogether has connections come back 0.5 s after they are cut,
// at the earliest: then those of both processes have been.
func TestProcessesCutTogether(t *testing.T) {
	const conns = 24
	relay := newRelay(t, newServer(t))
	cfg := shared(t, short(loadgen.Storm, relay.Addr().String()), 2)
	cfg.Duration = 20 * time.Second
	if s := mustRun(t, cfg).Storm; s.Back != conns || s.Failed != 0 {
		t.Errorf("%+v", s)
	}
	relay.mu.Lock()
	defer relay.mu.Unlock()
	if n := relay.before[conns]; n != conns {
		t.Errorf("%d of %d had been cut when the first came back", n, conns)
	}
}

func TestProcessesStormIsTriedAgain(t *testing.T) {
	const conns, refused = 24, 30
	io := newServerHandler(t)
	var requests atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n := requests.Add(1) - conns; n > 0 && n <= refused {
			http.Error(w, "full", http.StatusServiceUnavailable)
			return
		}
		io.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	cfg := shared(t, short(loadgen.Storm, srv.Listener.Addr().String()), 2)
	cfg.Duration, cfg.ReconnectDelay = 30*time.Second, 10*time.Millisecond
	r := mustRun(t, cfg)
	if s := r.Storm; s.Back != conns || s.Failed != refused || !strings.Contains(s.FailedWhy, "503") {
		t.Errorf("%+v", s)
	}
}

func TestProcessesDrops(t *testing.T) {
	two := newCluster(t, 2)
	for name, change := range map[string]func(*loadgen.Config){
		"plain":                 func(*loadgen.Config) {},
		"fin, half on polling":  func(c *loadgen.Config) { c.Cut, c.Polling = loadgen.FIN, 0.5 },
		"two loops and servers": func(c *loadgen.Config) { c.Loops, c.Addrs, c.Conns, c.Room = 2, two, 48, 6 },
		"a smaller room":        func(c *loadgen.Config) { c.Conns = 27 },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := drops(newServer(t))
			cfg.DropEvery = time.Second // long enough for all to be back
			change(&cfg)
			one, two := byOneAndTwo(t, cfg)
			sameDelivery(t, one, two)
			for _, r := range []*loadgen.Report{one, two} {
				// The last to be cut are, shortly before the end, if the machine is not busy.
				if d := r.Drops; d.Cuts > 2*d.Clients || d.Cuts < d.Clients*3/2 || d.Returned == 0 || d.Returned > d.Cuts || d.Recovered != 0 || d.Failed != 0 {
					t.Errorf("%d clients cut %d times: %+v", d.Clients, d.Cuts, d)
				}
				if d := r.Drops; d.Delivered >= d.Expected || d.Return.P50 < 100 || d.Return.Max < d.Return.P99 {
					t.Errorf("%+v", d)
				}
			}
		})
	}
}

// sameDelivery checks what does not depend on chance.
func sameDelivery(t *testing.T, one, two *loadgen.Report) {
	t.Helper()
	a, b := one.Drops, two.Drops
	if a.Clients != b.Clients || a.Messages != b.Messages {
		t.Errorf("one process:\n%+v\ntwo:\n%+v", a, b)
	}
	for _, r := range []*loadgen.Report{one, two} {
		d, l := r.Drops, r.Load
		if l.Sent+l.Missed != uint64(r.Rooms*d.Messages) || l.Missing != d.Expected-d.Delivered || l.Misordered+l.Duplicated+l.Foreign != 0 {
			t.Errorf("%+v\n%+v", d, l)
		}
		if l.Missed == 0 && d.Expected != uint64(d.Clients*d.Messages) {
			t.Errorf("%d clients expected %d of %d messages each", d.Clients, d.Expected, d.Messages)
		}
		clients, mean := 0, 0.0
		for _, h := range d.Histogram {
			clients += h.Clients
			mean += float64(h.Clients) * float64(h.From+h.To) / 2
		}
		if mean /= float64(clients); clients != d.Clients || math.Abs(mean-d.Mean) > 5 {
			t.Errorf("%d clients, %g on average in %+v", clients, mean, d)
		}
	}
}

// TestProcessesDropsRecovered has a server that keeps sessions.
func TestProcessesDropsRecovered(t *testing.T) {
	f := &faulty{recovers: true, deliver: func(_ int, send, _ func()) { send() }}
	cfg := drops(f.start(t))
	cfg.DropEvery, cfg.Recover, cfg.Drain = time.Second, true, 20*time.Second
	one, two := byOneAndTwo(t, cfg)
	sameDelivery(t, one, two)
	for _, r := range []*loadgen.Report{one, two} {
		if d := r.Drops; d.Delivered != d.Expected || d.Min != d.Max || d.Recovered == 0 || d.Recovered != d.Returned {
			t.Errorf("%+v", d)
		}
	}
}

func TestProcessesDeploy(t *testing.T) {
	servers := []string{newServer(t), newServer(t)} // no cluster
	relay := newRelay(t, servers[0])
	cfg := short(loadgen.Deploy, relay.Addr().String(), servers[1])
	cfg.Room, cfg.Rate, cfg.PIDs = 4, 1000, nil
	cfg.ReconnectDelay = 20 * time.Millisecond
	cfg.Duration, cfg.Drain = 500*time.Millisecond, 500*time.Millisecond
	cfg.During = func(context.Context) error { relay.cut(); return nil }
	one, two := byOneAndTwo(t, cfg)
	for _, r := range []*loadgen.Report{one, two} {
		d := r.Deploy
		if d.Fallen != cfg.Conns/2 || d.Returned != d.Fallen || d.Back != cfg.Conns || d.BackPercent != 100 || d.Failed+d.Passed != 0 {
			t.Errorf("%+v", d)
		}
		if d.Expected == 0 || d.Expected != r.Load.Expected || d.Delivered != r.Load.Received {
			t.Errorf("%+v\n%+v", d, r.Load)
		}
		if d.Worst >= 100 || d.Percent <= d.Worst || d.Whole >= r.Conns {
			t.Errorf("%+v", d)
		}
		if !(d.Gap.P50 >= 9 && d.Gap.P50 <= d.Gap.Max) || d.Reconnect.P50 <= 0 || d.Reconnect.P99 > d.Gap.Max {
			t.Errorf("gap %+v, reconnect %+v", d.Gap, d.Reconnect)
		}
	}
}

// TestProcessesDie strikes processes down at a word.
func TestProcessesDie(t *testing.T) {
	addr := newServer(t)
	for _, tt := range []struct {
		mode loadgen.Mode
		at   string
	}{
		{loadgen.Storm, `"Do":"storm"`},
		{loadgen.Drops, `"Do":"load"`},
		{loadgen.Deploy, `"Do":"load"`},
		{loadgen.Drops, `"Clients":true`}, // the load is over
		{loadgen.Deploy, `"Clients":true`},
		{loadgen.Storm, `"Kinds":true`},
	} {
		t.Run(fmt.Sprint(tt.mode, " at ", tt.at), func(t *testing.T) {
			cfg := short(tt.mode, addr)
			if cfg.PIDs, cfg.Drain = nil, 50*time.Millisecond; tt.mode == loadgen.Drops {
				cfg = drops(addr)
				cfg.Messages = 10
			}
			if tt.mode == loadgen.Storm {
				cfg.ReconnectDelay, cfg.Duration, cfg.Polling = -1, 20*time.Second, 0.5
			}
			cfg = shared(t, cfg, 2)
			t.Setenv(asWorker, tt.at)
			_, err := loadgen.Run(t.Context(), cfg)
			const want = "socketeer: a process with a share of the load ended: exit status 4; its output ends with: struck down"
			if err == nil || err.Error() != want {
				t.Errorf("got %v\nwant %s", err, want)
			}
		})
	}
}

// TestComebackFiles lets the processes open just the files that their
// connections need once: none holds its old one when it opens the new one.
func TestComebackFiles(t *testing.T) {
	const conns = 400
	cfg := short(loadgen.Storm, newServer(t))
	cfg.Conns, cfg.Room, cfg.Duration, cfg.ReconnectDelay = conns, 20, 30*time.Second, -1
	t.Setenv(workerFiles, fmt.Sprint(conns/2+loadgen.SpareFiles))
	for _, cut := range []loadgen.Cut{loadgen.RST, loadgen.FIN} {
		cfg.Cut = cut
		if s := mustRun(t, shared(t, cfg, 2)).Storm; s.Back != conns || s.Failed != 0 {
			t.Errorf("by %s: %+v", cut, s)
		}
	}
	t.Setenv(workerFiles, fmt.Sprint(conns/2+loadgen.SpareFiles-1))
	if _, err := loadgen.Run(t.Context(), shared(t, cfg, 2)); err == nil || !strings.Contains(err.Error(), "the limit on open files") {
		t.Errorf("got %v", err)
	}
}

// TestPass puts together what two processes tell, and has one do all of it.
func TestPass(t *testing.T) {
	var times [2][]int64
	got := [][]uint32{{1, 2, 3}, {4, 5}}
	for us := int64(1); us < 20_000_000; us += us/3 + 1 {
		times[us%2] = append(times[us%2], us)
	}
	two, n, all, err := loadgen.Pass(times[:], got)
	one, m, _, _ := loadgen.Pass([][]int64{slices.Concat(times[:]...)}, [][]uint32{all})
	if two != one || n != m || int(n) != len(times[0])+len(times[1]) || n == 0 {
		t.Errorf("%d times of two processes: %+v\n%d of one: %+v", n, two, m, one)
	}
	if !slices.Equal(all, []uint32{1, 2, 3, 4, 5}) || err == nil {
		t.Errorf("got %v, and of nonsense %v", all, err)
	}
}
