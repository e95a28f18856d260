package peertest

import (
	"errors"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	buscluster "github.com/socketeer-io/socketeer/adapter/cluster"
	"github.com/socketeer-io/socketeer/cluster"
)

func addressInUse(t *testing.T, a Adapter) {
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	o := options("second")
	o.ClusterAddr = l.Addr().String()
	c, err := a.Start(Patient(t), o)
	if !errors.Is(err, syscall.EADDRINUSE) || !told(err) || !strings.Contains(err.Error(), l.Addr().String()) {
		t.Errorf("got %v", err)
	}
	if err == nil {
		c.Close(t.Context())
	}
}

func openAddress(t *testing.T, a Adapter) {
	for addr, want := range map[string]int{"0.0.0.0:0": 1, ":0": 1, "127.0.0.1:0": 0, "localhost:0": 0} {
		var log Log
		a.node(t, Options{ClusterAddr: addr, Logger: log.Logger()})
		if n := log.Count("open to everybody"); n != want {
			t.Errorf("%s: %d warnings, want %d", addr, n, want)
		}
	}
}

func members(t *testing.T, a Adapter) {
	first, second := a.two(t, func(*Options) {})
	second.SetCounts(func() cluster.Counts { return cluster.Counts{Connections: 3, Sockets: 5} })
	second.SetAddr("https://n1.example")
	events := make(chan cluster.Event, 10)
	defer first.Watch(func(e cluster.Event) { events <- e })()
	second.SetState(cluster.Draining)
	Eventually(t, "the state", func() bool {
		m := first.Members()[1]
		return m.State == cluster.Draining && m.Counts.Sockets == 5 && m.Addr == "https://n1.example" && m.Name == "n1" && !m.Self
	})
	if e := <-events; e.Kind != cluster.Changed {
		t.Errorf("got %v", e.Kind)
	}
	if first.Tag() == second.Tag() || first.Name() != "n0" {
		t.Error("identities are mixed up")
	}
}

// A node that leaves says so: nobody waits for its heartbeats.
func goodbye(t *testing.T, a Adapter) {
	first, second := a.two(t, func(o *Options) { o.HeartbeatTimeout = time.Hour })
	if err := second.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	Eventually(t, "the goodbye", func() bool { return len(first.Members()) == 1 })
	if err := second.Ready(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("ready after close: %v", err)
	}
}

func tooLarge(t *testing.T, a Adapter) {
	const limit = 1 << 20
	first, second := a.two(t, func(o *Options) { o.MaxMessage = limit })
	from, to := Pair(t, first, second)
	var large *buscluster.TooLargeError
	if err := from.Publish(ToRoom(make([]byte, 2*limit))); !errors.As(err, &large) || large.Limit != limit {
		t.Errorf("got %v", err)
	}
	// One that fits takes several reads and larger buffers than usual.
	if err := from.Publish(ToRoom(make([]byte, 900_000))); err != nil {
		t.Error(err)
	}
	if n := len(to.Next(t)); n != 900_000 {
		t.Errorf("got %d bytes", n)
	}
}

func closing(t *testing.T, a Adapter) {
	c := a.node(t, options("n"))
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if err := c.Close(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// told reports whether an error is one for people.
func told(err error) bool { return err != nil && strings.HasPrefix(err.Error(), "socketeer: ") }
