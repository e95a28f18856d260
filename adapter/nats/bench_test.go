package nats_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/socketeer-io/socketeer/adapter"
)

// counter is a namespace that counts what it is handed.
type counter struct {
	n, want atomic.Int64
	done    chan struct{}
}

func (c *counter) Handle(*adapter.Message) {
	if c.n.Add(1) == c.want.Load() {
		close(c.done)
	}
}

func (c *counter) Answer(_ context.Context, _ *adapter.Message, reply func(adapter.Response)) {
	reply(adapter.Response{Last: true})
}

// BenchmarkCrossNode measures a message of 64 bytes from one node to a room
// with members on one of two others, all three in this process: everything
// from Publish on one side to Handle on the other. cpu-us/msg is what it costs
// in processor time, user and system, both nodes and the way between.
func BenchmarkCrossNode(b *testing.B) {
	b.Run("saturated", func(b *testing.B) { crossNode(b, 0, 0) })
	b.Run("20000 a second in steps of 1 ms", func(b *testing.B) { crossNode(b, 20, time.Millisecond) })
	b.Run("20000 a second in steps of 250 us", func(b *testing.B) { crossNode(b, 5, 250*time.Microsecond) })
}

func crossNode(b *testing.B, step int, every time.Duration) {
	nodes := embedded(b, 3)
	to := &counter{done: make(chan struct{})}
	to.want.Store(int64(b.N))
	sender := openBench(b, nodes[0], &counter{})
	receiver := openBench(b, nodes[1], to)
	openBench(b, nodes[2], &counter{})
	if err := receiver.Join(patient(b), "r"); err != nil {
		b.Fatal(err)
	}
	m := &adapter.Message{Kind: adapter.Broadcast, Target: adapter.Target{Rooms: []string{"r"}}, Data: make([]byte, 64)}
	b.ReportAllocs()
	b.ResetTimer()
	begin, used := time.Now(), cpuTime(b)
	for i := range b.N {
		if step > 0 && i%step == 0 {
			time.Sleep(time.Until(begin.Add(time.Duration(i/step) * every)))
		}
		// Saturated: as many under way as a busy node has, not as fit in memory.
		for step == 0 && int64(i)-to.n.Load() > 2000 {
			time.Sleep(50 * time.Microsecond)
		}
		if err := sender.Publish(m); err != nil {
			b.Fatal(err)
		}
	}
	select {
	case <-to.done:
	case <-time.After(patience):
		b.Fatalf("%d of %d arrived; %+v", to.n.Load(), b.N, nodes[1].Stats())
	}
	b.StopTimer()
	b.ReportMetric(float64(cpuTime(b)-used)/float64(b.N)/1000, "cpu-us/msg")
}

func openBench(b *testing.B, f adapter.Factory, l adapter.Local) adapter.Adapter {
	b.Helper()
	a, err := f.Open(patient(b), "/", l)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { a.Close() })
	return a
}

// cpuTime is the processor time this process has used.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkJoin measures how fast rooms become known to two other nodes, with
// as many joins at a time as clients that return together.
func BenchmarkJoin(b *testing.B) {
	nodes := embedded(b, 3)
	a := openBench(b, nodes[0], &counter{})
	for _, n := range nodes[1:] {
		openBench(b, n, &counter{})
	}
	b.ReportAllocs()
	b.SetParallelism(100)
	var room atomic.Int64
	used := cpuTime(b)
	b.ResetTimer()
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			if err := a.Join(b.Context(), fmt.Sprint("room ", room.Add(1))); err != nil {
				b.Error(err)
			}
		}
	})
	b.StopTimer()
	b.ReportMetric(float64(cpuTime(b)-used)/float64(b.N)/1000, "cpu-us/join")
}

// BenchmarkRequest measures a request to two other nodes that answer at once.
func BenchmarkRequest(b *testing.B) {
	nodes := embedded(b, 3)
	a := openBench(b, nodes[0], &counter{})
	for _, n := range nodes[1:] {
		openBench(b, n, &counter{})
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := a.Request(b.Context(), &adapter.Message{Kind: adapter.Fetch}, func(adapter.Response) {}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkAppend is a message that is kept by three nodes; 1000 are under way.
func BenchmarkAppend(b *testing.B) {
	a, err := recovering(b, 3)[0].Open(patient(b), "/", &counter{})
	if err != nil {
		b.Fatal(err)
	}
	log := a.(adapter.Log)
	m := toRoom([]byte(`["event","0123456789012345678901234567890123456789012345678901234567890123"]`))
	flying := make(chan struct{}, 1000)
	b.ReportAllocs()
	for b.Loop() {
		flying <- struct{}{}
		if err := log.Append(m, func(string) { <-flying }); err != nil {
			b.Fatal(err)
		}
	}
	for range cap(flying) {
		flying <- struct{}{}
	}
}
