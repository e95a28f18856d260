package nats_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"go.uber.org/goleak"

	"github.com/socketeer-io/socketeer/adapter"
	"github.com/socketeer-io/socketeer/adapter/adaptertest"
	"github.com/socketeer-io/socketeer/adapter/nats"
)

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		os.Exit(childMain())
	}
	if os.Getenv(serverEnv) != "" {
		os.Exit(serverMain())
	}
	flag.Parse()
	if err := flag.Set("test.parallel", together); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	goleak.VerifyTestMain(m)
}

// together is how many tests of faults run at the same time. They wait most of
// the time: for a server to come back, for another leader.
const together = "6"

const patience = 20 * time.Second

func patient(tb testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	tb.Cleanup(cancel)
	return ctx
}

// node starts one node and closes it at the end.
func node(tb testing.TB, o nats.Options) *nats.Cluster {
	tb.Helper()
	c, err := nats.New(patient(tb), o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := c.Close(context.Background()); err != nil {
			tb.Error(err)
		}
	})
	return c
}

func quick(name string) nats.Options {
	return nats.Options{Name: name, Token: "secret", HeartbeatTimeout: 2 * time.Second, LeaveDelay: 20 * time.Millisecond}
}

// embedded starts n nodes with a server each, of which each knows the first.
func embedded(tb testing.TB, n int) (list []*nats.Cluster) {
	tb.Helper()
	begin := time.Now()
	for i := range n {
		o := quick(fmt.Sprint("n", i))
		if i > 0 {
			o.Peers = []string{list[0].ClusterAddr()}
		}
		list = append(list, node(tb, o))
	}
	for _, c := range list {
		if err := c.WaitPeers(patient(tb), n-1); err != nil {
			tb.Fatal(err)
		}
	}
	tb.Logf("%d nodes knew each other after %v", n, time.Since(begin))
	return list
}

// external starts n nodes on one NATS server.
func external(tb testing.TB, n int) (list []*nats.Cluster) {
	tb.Helper()
	url := natsServer(tb)
	for i := range n {
		o := quick(fmt.Sprint("n", i))
		o.Token, o.URL = "", url
		list = append(list, node(tb, o))
	}
	for _, c := range list {
		if err := c.WaitPeers(patient(tb), n-1); err != nil {
			tb.Fatal(err)
		}
	}
	return list
}

func natsServer(tb testing.TB) (url string) {
	tb.Helper()
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, NoSigs: true, NoLog: true})
	if err != nil {
		tb.Fatal(err)
	}
	s.Start()
	tb.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(patience) {
		tb.Fatal("no nats server")
	}
	return s.ClientURL()
}

func conform(t *testing.T, start func(testing.TB, int) []*nats.Cluster) {
	adaptertest.Run(t, func(tb testing.TB, n int) (list []adapter.Factory) {
		for _, c := range start(tb, n) {
			list = append(list, c)
		}
		return list
	}, adaptertest.Options{Kill: kill})
}

func kill(_ testing.TB, f adapter.Factory) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	f.(*nats.Cluster).Close(ctx)
}

func TestConformanceEmbedded(t *testing.T) {
	t.Parallel()
	conform(t, embedded)
}
func TestConformanceExternal(t *testing.T) {
	t.Parallel()
	conform(t, external)
}
