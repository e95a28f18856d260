package fleet_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/socketeer-io/socketeer/internal/cli"
	"github.com/socketeer-io/socketeer/internal/fleet"
)

// TestMain lets the test binary be a server: one that the tests describe, or,
// as the fleet starts it by default, the command.
func TestMain(m *testing.M) {
	switch {
	case len(os.Args) > 2 && os.Args[1] == "listen":
		listen(os.Args[2:])
	case len(os.Args) > 2 && os.Args[1] == "fail":
		fmt.Println("no such luck on port", os.Args[2])
		os.Exit(3)
	case len(os.Args) > 1 && os.Args[1] == "serve":
		os.Exit(cli.Main(os.Args[1:]))
	default:
		goleak.VerifyTestMain(m)
	}
}

// listen is a server that is ready at the third time of asking, and ends on
// SIGTERM unless it is told to be stubborn.
func listen(args []string) {
	var mu sync.Mutex
	asked := 0
	http.HandleFunc("/readyz", func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if asked++; asked < 3 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	http.HandleFunc("/asked", func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprint(w, asked, args)
	})
	if len(args) > 1 && args[1] == "stubborn" {
		signal.Ignore(syscall.SIGTERM)
	}
	fmt.Println(http.ListenAndServe("127.0.0.1:"+args[0], nil))
	os.Exit(1)
}

func start(t *testing.T, opts fleet.Options) *fleet.Fleet {
	t.Helper()
	f, err := fleet.Start(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	return f
}

func reachable(addr string) bool {
	c, err := net.DialTimeout("tcp", addr, 10*time.Second)
	if err != nil {
		return false
	}
	c.Close()
	return true
}

func alive(pid int) bool { return syscall.Kill(pid, 0) == nil }

func TestOwnNodes(t *testing.T) {
	for _, nodes := range []int{1, 3} {
		t.Run(fmt.Sprint(nodes), func(t *testing.T) {
			f := start(t, fleet.Options{Nodes: nodes})
			if f.Len() != nodes || len(f.Addrs()) != nodes || len(f.PIDs()) != nodes {
				t.Fatalf("%d nodes at %v, processes %v", f.Len(), f.Addrs(), f.PIDs())
			}
			for _, addr := range f.Addrs() {
				if !reachable(addr) {
					t.Errorf("%s does not listen", addr)
				}
			}
			if err := f.Failed(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestCommand(t *testing.T) {
	f := start(t, fleet.Options{Nodes: 2, Command: os.Args[0] + " listen {port} {node} of {nodes} {addrs}"})
	for i, addr := range f.Addrs() {
		resp, err := http.Get("http://" + addr + "/asked")
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		want := fmt.Sprintf(" %d of 2 %s]", i+1, strings.Join(f.Addrs(), ","))
		if err != nil || string(b) < "3" || !strings.HasSuffix(string(b), want) {
			t.Errorf("got %q, %v; want 3 and %q", b, err, want)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestStopKillRestart(t *testing.T) {
	f := start(t, fleet.Options{Nodes: 2, Command: os.Args[0] + " listen {port}"})
	addrs, pids := f.Addrs(), f.PIDs()
	f.Stop(t.Context(), 0)
	f.Kill(1)
	for i, pid := range pids {
		if alive(pid) || reachable(addrs[i]) {
			t.Errorf("server %d runs", i)
		}
	}
	if err := f.Failed(); err != nil || len(f.PIDs()) != 0 {
		t.Errorf("failed: %v, processes %v", err, f.PIDs())
	}
	if err := f.Restart(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if pids := f.PIDs(); len(pids) != 1 || !reachable(addrs[1]) || f.Addrs()[1] != addrs[1] {
		t.Errorf("processes %v at %v, before at %v", pids, f.Addrs(), addrs)
	}
}

// The CPU time of processes that have ended stays known, each counted once.
func TestProcesses(t *testing.T) {
	f := start(t, fleet.Options{Nodes: 2, Command: os.Args[0] + " listen {port}"})
	before := f.PIDs()
	if pids, ended := f.Processes(); !slices.Equal(pids, before) || ended != 0 {
		t.Errorf("processes %d have used %v, want %d", pids, ended, before)
	}
	f.Kill(0)
	pids, first := f.Processes()
	if !slices.Equal(pids, before[1:]) || first <= 0 {
		t.Errorf("processes %d, the one that ended had used %v", pids, first)
	}
	if err := f.Restart(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if pids, ended := f.Processes(); len(pids) != 2 || slices.Contains(pids, before[0]) || ended != first {
		t.Errorf("processes %d, the one that ended had used %v, want %v", pids, ended, first)
	}
	f.Kill(1)
	if pids, ended := f.Processes(); len(pids) != 1 || ended <= first {
		t.Errorf("processes %d, those that ended had used %v, the first of them %v", pids, ended, first)
	}
}

func TestStopKillsTheStubborn(t *testing.T) {
	f := start(t, fleet.Options{Command: os.Args[0] + " listen {port} stubborn", StopTimeout: 10 * time.Millisecond})
	pid := f.PIDs()[0]
	f.Stop(t.Context(), 0)
	if alive(pid) {
		t.Error("it runs")
	}
}

func TestFailed(t *testing.T) {
	f := start(t, fleet.Options{Nodes: 2, Command: os.Args[0] + " listen {port}"})
	if err := syscall.Kill(f.PIDs()[1], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(20 * time.Second); ; {
		if err := f.Failed(); err != nil {
			if !strings.Contains(err.Error(), "server 2 ended: signal: killed") {
				t.Error(err)
			}
			return
		}
		if time.Now().After(end) {
			t.Fatal("nobody noticed")
		}
		reachable(f.Addrs()[0])
	}
}

func TestStartFails(t *testing.T) {
	for want, opts := range map[string]fleet.Options{
		"no {port}":             {Command: "true"},
		"takes 1 to 64":         {Nodes: fleet.MaxNodes + 1},
		"cannot start server 1": {Command: "/nonexistent {port}"},
		"ended: exit status 3; its output ends with: no such luck on port": {Nodes: 3, Command: os.Args[0] + " fail {port}"},
		"--ping-interval": {Args: []string{"--ping-interval=nonsense"}},
	} {
		f, err := fleet.Start(t.Context(), opts)
		if err == nil {
			f.Close()
		}
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "socketeer: ") {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}

func TestStartEndsWithContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	_, err := fleet.Start(ctx, fleet.Options{Command: "sleep 1000 {port}", Progress: func(string) { cancel() }})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
