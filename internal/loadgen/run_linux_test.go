package loadgen_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/socketeer-io/socketeer"
	"github.com/socketeer-io/socketeer/internal/app/bench"
	"github.com/socketeer-io/socketeer/internal/loadgen"
)

const (
	// asWorker makes the test binary be a process with a share of the load.
	asWorker = "LOADGEN_TEST_WORKER"
	// workerFiles is how many files that may open.
	workerFiles = "LOADGEN_TEST_FILES"
)

func TestMain(m *testing.M) {
	how := os.Getenv(asWorker)
	switch how {
	case "":
		goleak.VerifyTestMain(m)
		return
	case "fails":
		fmt.Fprintln(os.Stderr, "no such luck")
		os.Exit(3)
	}
	if n, err := strconv.ParseUint(os.Getenv(workerFiles), 10, 64); err == nil {
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: n, Max: n}); err != nil {
			panic(err)
		}
	}
	in := io.Reader(os.Stdin)
	if how != "works" {
		in = &mortal{in, how}
	}
	if err := loadgen.Work(context.Background(), in, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// mortal ends the process when it is told a word.
type mortal struct {
	io.Reader
	word string
}

func (m *mortal) Read(b []byte) (int, error) {
	n, err := m.Reader.Read(b)
	if bytes.Contains(b[:n], []byte(m.word)) {
		fmt.Fprintln(os.Stderr, "struck down")
		os.Exit(4)
	}
	return n, err
}

// newServer serves the bench application and returns its address.
func newServer(t *testing.T, opts ...socketeer.Option) string {
	t.Helper()
	var srv *httptest.Server
	t.Cleanup(func() { srv.Close() }) // when its clients have left
	srv = httptest.NewServer(newServerHandler(t, opts...))
	return srv.Listener.Addr().String()
}

func newServerHandler(t *testing.T, opts ...socketeer.Option) http.Handler {
	t.Helper()
	io, err := socketeer.NewServer(opts...)
	if err != nil {
		t.Fatal(err)
	}
	bench.Mount(io)
	t.Cleanup(func() {
		if err := io.Close(); err != nil {
			t.Error(err)
		}
	})
	return io
}

// short is a configuration that does not take long.
func short(mode loadgen.Mode, addrs ...string) loadgen.Config {
	return loadgen.Config{
		Addrs: addrs, Mode: mode, Conns: 24, Room: 8,
		Duration: 200 * time.Millisecond, Warmup: 20 * time.Millisecond,
		Settle: 10 * time.Millisecond, PIDs: []int{os.Getpid()},
	}
}

func mustRun(t *testing.T, cfg loadgen.Config) *loadgen.Report {
	t.Helper()
	r, err := loadgen.Run(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRunIdle(t *testing.T) {
	addr := newServer(t, socketeer.WithPingInterval(50*time.Millisecond), socketeer.WithPingTimeout(5*time.Second))
	r := mustRun(t, short(loadgen.Idle, addr))
	if r.Accept.PerSecond <= 0 || r.Accept.ServerMicros <= 0 || r.Accept.GeneratorMicros <= 0 {
		t.Errorf("accept %+v", r.Accept)
	}
	if r.Memory == nil || r.Memory.BeforeKiB <= 0 || r.Memory.ConnectedKiB <= 0 {
		t.Errorf("memory %+v", r.Memory)
	}
	if r.Hold == nil || r.Hold.Pings == 0 || r.Hold.Server == nil {
		t.Errorf("held %+v", r.Hold)
	}
	if r.Lost != 0 || r.Load != nil {
		t.Errorf("lost %d, load %+v", r.Lost, r.Load)
	}
	wayIn(t, r)
}

// wayIn checks the course of connections that come in and stay.
func wayIn(t *testing.T, r *loadgen.Report) {
	t.Helper()
	at, accepted := 0.0, 0.0
	for _, step := range r.Series {
		accepted += step.PerSecond * (step.At - at)
		if step.At <= at || step.ServerKiB <= 0 || step.ServerCores < 0 || step.P50 != 0 || step.Back != 0 {
			t.Errorf("%+v after %g s", step, at)
		}
		at = step.At
	}
	if len(r.Series) < 2 || r.Series[len(r.Series)-1].Conns != r.Conns || math.Abs(accepted-float64(r.Conns)) > 0.01 {
		t.Errorf("%d connections, %g came in: %+v", r.Conns, accepted, r.Series)
	}
	if held := r.Accept.Seconds + r.Hold.Seconds; at < held || at > held+5 {
		t.Errorf("the course ends after %g s, connecting and holding took %g", at, held)
	}
}

// A course goes on for as long as it takes, with fewer steps a second.
func TestLongCourse(t *testing.T) {
	for n, want := range map[int]time.Duration{10: 100 * time.Millisecond, 650: 200 * time.Millisecond, 5000: 1600 * time.Millisecond} {
		steps, next := loadgen.ThinCourse(n)
		last := steps[len(steps)-1]
		if next != want || len(steps) > 600 || len(steps) < min(n, 250) || last.At < float64(n)/10-next.Seconds() || math.Abs(last.PerSecond-10) > 0.01 {
			t.Errorf("%d: the last of %d steps is %+v, the next %v later", n, len(steps), last, next)
		}
	}
}

func TestRunLoad(t *testing.T) {
	addr := newServer(t)
	for name, change := range map[string]func(*loadgen.Config){
		"saturated":         func(*loadgen.Config) {},
		"much in flight":    func(c *loadgen.Config) { c.Inflight = 40 },
		"two loops":         func(c *loadgen.Config) { c.Loops = 2 },
		"two servers":       func(c *loadgen.Config) { c.Addrs = append(c.Addrs, newServer(t)) },
		"one room, 3 loops": func(c *loadgen.Config) { c.Room, c.Loops = c.Conns, 3 },
		"large payload":     func(c *loadgen.Config) { c.Payload, c.Duration = loadgen.MaxPayload, time.Second },
		"paced":             func(c *loadgen.Config) { c.Rate = 2000 },
		"paced, two loops":  func(c *loadgen.Config) { c.Rate, c.Loops = 2000, 2 },
	} {
		for _, mode := range []loadgen.Mode{loadgen.Echo, loadgen.Rooms} {
			if name == "two servers" && mode == loadgen.Rooms {
				continue // the two have no cluster between them
			}
			t.Run(name+"/"+string(mode), func(t *testing.T) {
				cfg := short(mode, addr)
				change(&cfg)
				checkLoad(t, cfg, mustRun(t, cfg))
			})
		}
	}
}

func checkLoad(t *testing.T, cfg loadgen.Config, r *loadgen.Report) {
	t.Helper()
	l := r.Load
	if l == nil {
		t.Fatal("no load")
	}
	if l.Messages == 0 || l.PerSecond <= 0 || l.Sent == 0 {
		t.Errorf("%d messages, %g/s, sent %d", l.Messages, l.PerSecond, l.Sent)
	}
	if l.Expected == 0 || l.Received != l.Expected {
		t.Errorf("received %d of %d", l.Received, l.Expected)
	}
	if bad := l.Missing + l.Misordered + l.Duplicated + l.Foreign + uint64(r.Lost); bad != 0 {
		t.Errorf("missing %d, misordered %d, duplicated %d, foreign %d, lost %d (%s)",
			l.Missing, l.Misordered, l.Duplicated, l.Foreign, r.Lost, r.LostWhy)
	}
	if q := l.Latency; !(0 < q.P50 && q.P50 <= q.P90 && q.P90 <= q.P99 && q.P99 <= q.P999 && q.P999 <= q.Max) {
		t.Errorf("latency %+v", q)
	}
	if l.Server == nil || l.Server.PerMessageMicros <= 0 || l.Generator.PerMessageMicros <= 0 {
		t.Errorf("server CPU %+v, generator CPU %+v", l.Server, l.Generator)
	}
	if cfg.Rate == 0 {
		return
	}
	perSend := 1.0
	if r.Room > 0 {
		perSend = float64(r.Room)
	}
	if want := cfg.Rate * cfg.Duration.Seconds() / perSend; math.Abs(float64(l.Sent+l.Missed)-want) > 2 {
		t.Errorf("sent %d and missed %d, want about %g", l.Sent, l.Missed, want)
	}
}

func TestProgress(t *testing.T) {
	cfg := short(loadgen.Rooms, newServer(t))
	cfg.Duration = 1500 * time.Millisecond
	var lines atomic.Int64
	cfg.Progress = func(p loadgen.Progress) {
		lines.Add(1)
		if s := p.String(); p.Rate <= 0 || p.Conns != cfg.Conns || !strings.Contains(s, p.Phase) || !strings.Contains(s, "generator") {
			t.Errorf("%q for %+v", s, p)
		}
	}
	r := mustRun(t, cfg)
	if lines.Load() == 0 || len(r.Load.Series) != int(lines.Load()) {
		t.Errorf("%d lines, series %+v", lines.Load(), r.Load.Series)
	}
}

func TestReportForms(t *testing.T) {
	addr := newServer(t)
	for mode, want := range map[loadgen.Mode][]string{
		loadgen.Idle:  {"idle", addr, "/s", "KiB", "heartbeats", "generator CPU"},
		loadgen.Echo:  {"echo, saturated with 1 in flight", "us per message", "p99.9"},
		loadgen.Rooms: {"3 of 8, saturated with 3 in flight", "us per delivery", "other processes", "missing", "out of order"},
	} {
		r := mustRun(t, short(mode, addr))
		var table strings.Builder
		if err := r.WriteTable(&table); err != nil {
			t.Fatal(err)
		}
		for _, w := range want {
			if !strings.Contains(table.String(), w) {
				t.Errorf("%s: no %q in\n%s", mode, w, table.String())
			}
		}
		b, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		var again loadgen.Report
		if err := json.Unmarshal(b, &again); err != nil || !reflect.DeepEqual(*r, again) {
			t.Errorf("%s: %v\n%+v\ncame back from JSON as\n%+v", mode, err, *r, again)
		}
	}
}

func TestRunRefusesConfig(t *testing.T) {
	for want, change := range map[string]func(*loadgen.Config){
		"mode":              func(c *loadgen.Config) { c.Mode = "sunny" },
		"no server address": func(c *loadgen.Config) { c.Addrs = nil },
		"not host:port":     func(c *loadgen.Config) { c.Addrs = []string{"localhost"} },
		"connections is 0":  func(c *loadgen.Config) { c.Conns = 0 },
		"room of":           func(c *loadgen.Config) { c.Room = 25 },
		"room size is -1":   func(c *loadgen.Config) { c.Room = -1 },
		"payload of 31":     func(c *loadgen.Config) { c.Payload = loadgen.MinPayload - 1 },
		"payload of 16385":  func(c *loadgen.Config) { c.Payload = loadgen.MaxPayload + 1 },
		"rate":              func(c *loadgen.Config) { c.Rate = -1 },
		"duration":          func(c *loadgen.Config) { c.Warmup = -1 },
		"in flight":         func(c *loadgen.Config) { c.Inflight = -1 },
		"event loops":       func(c *loadgen.Config) { c.Loops = 25 },
		"for each loop":     func(c *loadgen.Config) { c.Mode, c.Conns = loadgen.Direct, 23 },
		"needs pairs":       func(c *loadgen.Config) { c.Mode, c.Loops = loadgen.Direct, 13 },
		"for direct":        func(c *loadgen.Config) { c.ToUser = true },
		"storm has no rate": func(c *loadgen.Config) { c.Mode, c.Rate = loadgen.Storm, 1 },
		"two members":       func(c *loadgen.Config) { c.Mode, c.Room = loadgen.Drops, 1 },
		"-1 messages":       func(c *loadgen.Config) { c.Mode, c.Messages = loadgen.Drops, -1 },
		"one each -1ns":     func(c *loadgen.Config) { c.Mode, c.MessageEvery = loadgen.Drops, -1 },
		"cut for 15s":       func(c *loadgen.Config) { c.Mode, c.DropFor = loadgen.Drops, 15*time.Second },
		"rate of drops":     func(c *loadgen.Config) { c.Mode, c.Rate = loadgen.Drops, 1 },
		"is recovered in":   func(c *loadgen.Config) { c.Recover = true },
		"rst or fin":        func(c *loadgen.Config) { c.Cut = "scissors" },
		"share of":          func(c *loadgen.Config) { c.Polling = 1.5 },
		"no process":        func(c *loadgen.Config) { c.PIDs = []int{1 << 30} },
		"open files":        func(c *loadgen.Config) { c.Conns = 1 << 30 },
	} {
		cfg := short(loadgen.Rooms, "127.0.0.1:1")
		change(&cfg)
		_, err := loadgen.Run(t.Context(), cfg)
		var wrong *loadgen.ConfigError
		if here := want == "no process" || want == "open files"; errors.As(err, &wrong) == here {
			t.Errorf("%v is about the configuration, not the machine: %t", err, here)
		}
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "socketeer: ") || strings.Contains(err.Error(), "\n") {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}

func TestRunRefused(t *testing.T) {
	var lc net.ListenConfig
	ln, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	ln.Close()
	_, err = loadgen.Run(t.Context(), short(loadgen.Idle, addr))
	if want := "socketeer: connect to " + addr + ": connection refused"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %q", err, want)
	}
}

func TestRunAgainstOtherServer(t *testing.T) {
	srv := httptest.NewServer(http.NotFoundHandler())
	defer srv.Close()
	_, err := loadgen.Run(t.Context(), short(loadgen.Idle, srv.Listener.Addr().String()))
	if err == nil || !strings.Contains(err.Error(), "404 Not Found") {
		t.Errorf("got %v", err)
	}
}

func TestRunEndsWithContext(t *testing.T) {
	for _, mode := range []loadgen.Mode{loadgen.Idle, loadgen.Echo, loadgen.Rooms, loadgen.Storm} {
		cfg := short(mode, newServer(t))
		cfg.Duration, cfg.Settle = time.Hour, time.Hour
		ctx, cancel := context.WithCancel(t.Context())
		cfg.Progress = func(loadgen.Progress) { cancel() }
		if _, err := loadgen.Run(ctx, cfg); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: got %v", mode, err)
		}
		cancel()
	}
}
