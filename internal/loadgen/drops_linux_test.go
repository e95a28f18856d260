package loadgen_test

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/socketeer-io/socketeer/internal/loadgen"
)

// drops cuts clients every 400 ms for 100 ms, during 2 s.
func drops(addrs ...string) loadgen.Config {
	cfg := short(loadgen.Drops, addrs...)
	cfg.Duration, cfg.Warmup, cfg.Drain = 0, 0, 50*time.Millisecond
	cfg.DropEvery, cfg.DropFor = 400*time.Millisecond, 100*time.Millisecond
	cfg.Messages, cfg.MessageEvery = 100, 20*time.Millisecond
	return cfg
}

func TestRunDrops(t *testing.T) {
	one, two := []string{newServer(t)}, newCluster(t, 2)
	for name, change := range map[string]func(*loadgen.Config){
		"plain":                 func(*loadgen.Config) {},
		"fin":                   func(c *loadgen.Config) { c.Cut = loadgen.FIN },
		"half on polling":       func(c *loadgen.Config) { c.Polling = 0.5 },
		"two loops and servers": func(c *loadgen.Config) { c.Loops, c.Addrs = 2, two },
		"one room, three loops": func(c *loadgen.Config) { c.Loops, c.Room = 3, c.Conns },
		"nothing to recover":    func(c *loadgen.Config) { c.Recover = true },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := drops(one...)
			change(&cfg)
			r := mustRun(t, cfg)
			d, l := r.Drops, r.Load
			rooms := (cfg.Conns + cfg.Room - 1) / cfg.Room
			if d == nil || d.Clients != cfg.Conns-rooms || l.Sent+l.Missed != uint64(rooms*cfg.Messages) {
				t.Fatalf("%+v, sent %d, missed %d", d, l.Sent, l.Missed)
			}
			if d.Expected != l.Sent*uint64(cfg.Room-1) || d.Delivered >= d.Expected || d.Percent <= 0 || d.Percent >= 100 {
				t.Errorf("delivered %d of %d, %g %%", d.Delivered, d.Expected, d.Percent)
			}
			if l.Missing != d.Expected-d.Delivered || l.Misordered != 0 || l.Duplicated != 0 || l.Foreign != 0 || r.Lost != 0 {
				t.Errorf("%+v, lost %d (%s)", l, r.Lost, r.LostWhy)
			}
			if d.Cuts == 0 || d.Returned == 0 || d.Returned > d.Cuts || d.Recovered != 0 || d.Failed != 0 || d.Return.P50 < 100 {
				t.Errorf("%+v", d)
			}
			if d.Min > d.Median || d.Median > d.Max || d.Mean < float64(d.Min) || d.Mean > float64(d.Max) {
				t.Errorf("%+v", d)
			}
			if len(l.Series) == 0 || !slices.ContainsFunc(l.Series, func(s loadgen.Second) bool { return s.Away > 0 }) {
				t.Errorf("nobody is away in %+v", l.Series)
			}
			clients := 0
			for _, h := range d.Histogram {
				clients += h.Clients
			}
			if clients != d.Clients {
				t.Errorf("%d clients in %+v", clients, d.Histogram)
			}
			for _, want := range []string{"drops, ", "delivered  ", "each got, of 100", "clients cut", "sessions recovered 0"} {
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

// TestDropsRecovered has a server that keeps sessions: nothing is missing.
func TestDropsRecovered(t *testing.T) {
	f := &faulty{recovers: true, deliver: func(_ int, send, _ func()) { send() }}
	cfg := drops(f.start(t))
	cfg.Recover, cfg.Drain = true, 20*time.Second
	r := mustRun(t, cfg)
	d, l := r.Drops, r.Load
	if d.Delivered != d.Expected || d.Percent != 100 || l.Missing != 0 || l.Misordered != 0 || l.Duplicated != 0 || l.Foreign != 0 {
		t.Errorf("%+v\n%+v", d, l)
	}
	if d.Recovered == 0 || d.Recovered != d.Returned || d.Returned > d.Cuts {
		t.Errorf("%d cuts, %d returned, %d recovered", d.Cuts, d.Returned, d.Recovered)
	}
}

func TestGot(t *testing.T) {
	d := loadgen.Got(120, 480, 120, 100, 107, 101)
	want := loadgen.Delivery{
		Messages: 120, Expected: 480, Delivered: 428, Percent: 100 * 428.0 / 480, Min: 100, Median: 107, Mean: 107, Max: 120,
		Histogram: []loadgen.GotRange{{From: 96, To: 101, Clients: 2}, {From: 102, To: 107, Clients: 1}, {From: 120, To: 125, Clients: 1}},
	}
	if !reflect.DeepEqual(d, want) {
		t.Errorf("got %+v\nwant %+v", d, want)
	}
	if d := loadgen.Got(3, 0); d.Histogram != nil || d.Percent != 0 {
		t.Errorf("nobody got %+v", d)
	}
}
