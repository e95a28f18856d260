package nats_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/socketeer-io/socketeer/adapter"
	"github.com/socketeer-io/socketeer/adapter/adaptertest"
	"github.com/socketeer-io/socketeer/adapter/nats"
)

// jetStreamServer is a NATS server with JetStream in this process.
func jetStreamServer(tb testing.TB) (url string) {
	tb.Helper()
	return runServer(tb, &server.Options{Host: "127.0.0.1", Port: -1, NoSigs: true, NoLog: true, JetStream: true, StoreDir: tb.TempDir()}).ClientURL()
}

func runServer(tb testing.TB, o *server.Options) *server.Server {
	tb.Helper()
	s, err := server.NewServer(o)
	if err != nil {
		tb.Fatal(err)
	}
	s.Start()
	tb.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(patience) {
		tb.Fatal("no nats server")
	}
	return s
}

// keeping starts n nodes that keep what they send in JetStream.
func keeping(tb testing.TB, url string, n int, j nats.JetStreamOptions, adjust ...func(*nats.Options)) (list []*nats.Cluster) {
	tb.Helper()
	for i := range n {
		o := quick(fmt.Sprint("n", i))
		o.Token, o.URL, o.Recovery, o.JetStream = "", url, true, &j
		for _, f := range adjust {
			f(&o)
		}
		list = append(list, node(tb, o))
	}
	for _, c := range list {
		if err := c.WaitPeers(patient(tb), n-1); err != nil {
			tb.Fatal(err)
		}
	}
	return list
}

func factories(list []*nats.Cluster) (f []adapter.Factory) {
	for _, c := range list {
		f = append(f, c)
	}
	return f
}

func TestJetStreamLogConformance(t *testing.T) {
	t.Parallel()
	for _, storage := range []nats.Storage{nats.File, nats.Memory} {
		for _, n := range []int{1, 3} {
			t.Run(fmt.Sprint(storage, ", ", n, " nodes"), func(t *testing.T) {
				adaptertest.RunLog(t, func(tb testing.TB, n int) []adapter.Factory {
					return factories(keeping(tb, jetStreamServer(tb), n, nats.JetStreamOptions{Storage: storage, MaxBytes: 1 << 20, KeepTimeout: patience}, func(o *nats.Options) {
						o.MaxMessage, o.LogBytes = 64<<10, 128<<10
					}))
				}, adaptertest.LogOptions{Nodes: n, Retain: time.Second, Trim: func(tb testing.TB, _ string, emit func()) {
					for range 2 << 10 {
						emit()
					}
				}})
			})
		}
	}
}

// Three servers, each stream on all of them.
func TestJetStreamClusterConformance(t *testing.T) {
	t.Parallel()
	servers := natsProcesses(t, 3)
	urls := servers[0].url() + "," + servers[1].url() + "," + servers[2].url()
	adaptertest.RunLog(t, func(tb testing.TB, n int) []adapter.Factory {
		return factories(keeping(tb, urls, n, nats.JetStreamOptions{Replicas: 3, KeepTimeout: patience}))
	}, adaptertest.LogOptions{Nodes: 3, Retain: time.Second})
	adaptertest.Run(t, func(tb testing.TB, n int) []adapter.Factory {
		name := fmt.Sprint("c", n, tb.Name())
		return factories(keeping(tb, urls, n, nats.JetStreamOptions{}, func(o *nats.Options) { o.ClusterName = name }))
	}, adaptertest.Options{Kill: kill})
}

func TestJetStreamConformance(t *testing.T) {
	t.Parallel()
	adaptertest.Run(t, func(tb testing.TB, n int) []adapter.Factory {
		return factories(keeping(tb, jetStreamServer(tb), n, nats.JetStreamOptions{}))
	}, adaptertest.Options{Kill: kill})
}

// BenchmarkJetStreamKept measures an event of 64 bytes that is kept: from Append
// until its node may deliver it. The server is in this process, as are two other
// nodes that read it all.
func BenchmarkJetStreamKept(b *testing.B) {
	for _, underWay := range []int{1, 1000} {
		b.Run(fmt.Sprint(underWay, " under way"), func(b *testing.B) {
			nodes := keeping(b, jetStreamServer(b), 3, nats.JetStreamOptions{})
			log := openBench(b, nodes[0], &counter{}).(adapter.Log)
			openBench(b, nodes[1], &counter{})
			openBench(b, nodes[2], &counter{})
			log.Retain(time.Minute)
			free := make(chan struct{}, underWay)
			m := toRoom(make([]byte, 64))
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				free <- struct{}{}
				if err := log.Append(m, func(string) { <-free }); err != nil {
					b.Fatal(err)
				}
			}
			for range underWay {
				free <- struct{}{}
			}
		})
	}
}
