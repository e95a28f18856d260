package loadgen_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/socketeer-io/socketeer/internal/loadgen"
)

// relay passes connections on to a server, and can cut them.
type relay struct {
	net.Listener
	to string

	mu     sync.Mutex
	conns  []net.Conn
	ended  int
	before []int // of each connection: how many had ended before it came
}

func newRelay(t *testing.T, to string) *relay {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{Listener: ln, to: to}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			r.mu.Lock()
			r.before = append(r.before, r.ended)
			r.mu.Unlock()
			wg.Go(func() {
				r.pass(c)
				r.mu.Lock()
				r.ended++
				r.mu.Unlock()
			})
		}
	})
	t.Cleanup(func() {
		ln.Close()
		r.cut()
		wg.Wait()
	})
	return r
}

func (r *relay) pass(c net.Conn) {
	server, err := net.Dial("tcp", r.to)
	if err != nil {
		c.Close()
		return
	}
	r.mu.Lock()
	r.conns = append(r.conns, c, server)
	r.mu.Unlock()
	var wg sync.WaitGroup
	for from, to := range map[net.Conn]net.Conn{c: server, server: c} {
		wg.Go(func() {
			_, _ = io.Copy(to, from)
			to.Close()
			from.Close()
		})
	}
	wg.Wait()
}

// cut ends the connections there are.
func (r *relay) cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.conns {
		c.Close()
	}
	r.conns = nil
}

func TestDeploy(t *testing.T) {
	// Two servers without a cluster: each room hears only the half on its own,
	// and whoever comes back lands on either.
	cfg := short(loadgen.Deploy, newServer(t), newServer(t))
	cfg.Room, cfg.Rate, cfg.PIDs = 4, 1000, nil
	cfg.ReconnectDelay = 20 * time.Millisecond
	cfg.Duration, cfg.Drain = 500*time.Millisecond, 500*time.Millisecond
	relay := newRelay(t, cfg.Addrs[0])
	cfg.Addrs[0] = relay.Addr().String()
	cfg.During = func(context.Context) error { relay.cut(); return nil }
	r := mustRun(t, cfg)
	d := r.Deploy
	if d == nil || r.Load == nil {
		t.Fatal("nothing reported")
	}
	if d.Fallen != cfg.Conns/2 || d.Returned != d.Fallen || d.Back != cfg.Conns || d.BackPercent != 100 {
		t.Errorf("lost %d, returned %d, at the end %d", d.Fallen, d.Returned, d.Back)
	}
	if !(d.Gap.P50 >= 9 && d.Gap.P50 <= d.Gap.P99) || d.Reconnect.P50 <= 0 || d.Reconnect.P99 > d.Gap.Max {
		t.Errorf("gap %+v, reconnect %+v", d.Gap, d.Reconnect)
	}
	if d.Expected == 0 || d.Delivered == 0 || d.Delivered >= d.Expected || d.Worst >= 100 || d.Percent <= d.Worst {
		t.Errorf("delivered %d of %d, worst %g%%", d.Delivered, d.Expected, d.Worst)
	}
	clients := 0
	for _, h := range d.Histogram {
		clients += h.Clients
	}
	if n := len(d.Histogram); n < 2 || n > 21 || clients != cfg.Conns || d.Histogram[0].From >= d.Histogram[n-1].From {
		t.Errorf("%d clients in %+v", clients, d.Histogram)
	}
	var table strings.Builder
	if err := r.WriteTable(&table); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"deploy, 6 of 4", "gap, ms", "time to reconnect, ms", "connected at the end"} {
		if !strings.Contains(table.String(), want) {
			t.Errorf("no %q in\n%s", want, table.String())
		}
	}
}

// Clients come back as behind a load balancer: it passes by servers that are
// not there, and knows nothing of other refusals.
func TestDeployPassesBy(t *testing.T) {
	for name, status := range map[string]int{
		"nobody listens": 0, "unavailable": http.StatusServiceUnavailable, "forbidden": http.StatusForbidden,
	} {
		t.Run(name, func(t *testing.T) {
			cfg := short(loadgen.Deploy, newServer(t), newServer(t))
			cfg.Conns, cfg.Room, cfg.Rate, cfg.PIDs = 40, 4, 1000, nil
			cfg.ReconnectDelay = 20 * time.Millisecond
			cfg.Duration, cfg.Drain = 500*time.Millisecond, 500*time.Millisecond
			relay := newRelay(t, cfg.Addrs[0])
			cfg.Addrs[0] = relay.Addr().String()
			cfg.During = func(context.Context) error {
				relay.Close()
				if status != 0 {
					refuse(t, cfg.Addrs[0], status)
				}
				relay.cut()
				return nil
			}
			d := mustRun(t, cfg).Deploy
			// Each of 20 goes to either server first.
			if passed := status != http.StatusForbidden; passed != (d.Passed > 0) || passed != (d.Failed == 0) {
				t.Errorf("%d passed by, %d failed: %s", d.Passed, d.Failed, d.FailedWhy)
			}
			if d.Fallen != 20 || d.Returned == 0 {
				t.Errorf("lost %d, returned %d", d.Fallen, d.Returned)
			}
		})
	}
}

// refuse answers all requests at addr with a status.
func refuse(t *testing.T, addr string, status int) {
	t.Helper()
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		t.Error(err)
		return
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })}
	var wg sync.WaitGroup
	wg.Go(func() { _ = s.Serve(ln) })
	t.Cleanup(func() { s.Close(); wg.Wait() })
}

func TestDeployEndsWithDuring(t *testing.T) {
	cfg := short(loadgen.Deploy, newServer(t))
	cfg.Duration = time.Hour
	failure := errors.New("socketeer: no server any more")
	cfg.During = func(context.Context) error { return failure }
	if _, err := loadgen.Run(t.Context(), cfg); !errors.Is(err, failure) {
		t.Errorf("got %v", err)
	}
	cfg.Mode = loadgen.Rooms
	if _, err := loadgen.Run(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "not replaced in rooms") {
		t.Errorf("got %v", err)
	}
}
