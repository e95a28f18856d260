package redisstream_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/socketeer-io/socketeer/adapter"
	"github.com/socketeer-io/socketeer/adapter/adaptertest"
	"github.com/socketeer-io/socketeer/adapter/redisstream"
	"github.com/socketeer-io/socketeer/internal/redistest"
)

func TestMain(m *testing.M) {
	// Five seconds after a cluster's topology has changed rueidis closes the
	// connections that are not needed any more, even if the client is closed.
	// And within a second it looks at the topology.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/redis/rueidis.(*clusterClient)._refresh.func2"),
		goleak.IgnoreAnyFunction("github.com/redis/rueidis.(*call).DelayDo.func1"))
}

// patience is how long anything may take that must happen.
const patience = 30 * time.Second

func patient(tb testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	tb.Cleanup(cancel)
	return ctx
}

// start starts a node that ends with the test.
func start(tb testing.TB, o redisstream.Options) *redisstream.Cluster {
	tb.Helper()
	c, err := redisstream.New(patient(tb), o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { c.Close(patient(tb)) })
	return c
}

// startAll starts nodes that know each other.
func startAll(tb testing.TB, n int, o redisstream.Options) (nodes []*redisstream.Cluster) {
	tb.Helper()
	for i := range n {
		o.Name = fmt.Sprint("n", i)
		nodes = append(nodes, start(tb, o))
	}
	for _, c := range nodes {
		if err := c.WaitPeers(patient(tb), n-1); err != nil {
			tb.Fatal(err)
		}
	}
	return nodes
}

func TestConformance(t *testing.T) {
	s := redistest.Standalone(t)
	conform(t, redisstream.Options{URLs: []string{s.URL()}})
}

func conform(t *testing.T, o redisstream.Options) {
	t.Helper()
	o.MaxLen = 100_000
	n := 0
	adaptertest.Run(t, func(tb testing.TB, count int) (list []adapter.Factory) {
		n++
		o.StreamName, o.ChannelPrefix = fmt.Sprint("stream", n), fmt.Sprint("prefix", n)
		for _, c := range startAll(tb, count, o) {
			list = append(list, c)
		}
		return list
	}, adaptertest.Options{
		Lacks: adaptertest.Verbatim | adaptertest.Interest,
		Kill: func(_ testing.TB, f adapter.Factory) {
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			f.(*redisstream.Cluster).Close(ctx)
		},
	})
}

func TestLog(t *testing.T) {
	s := redistest.Standalone(t)
	conformLog(t, redisstream.Options{URLs: []string{s.URL()}, MaxLen: 100_000}, nil)
}

// Without memory everything is read from the stream.
func TestLogFromStream(t *testing.T) {
	s := redistest.Standalone(t)
	conformLog(t, redisstream.Options{URLs: []string{s.URL()}, MaxLen: 100_000, HistoryBytes: 1},
		func(tb testing.TB, _ string, emit func()) {
			emit()
			s.Must("XTRIM", "socket.io", "MAXLEN", "0")
		})
}

func conformLog(t *testing.T, o redisstream.Options, trim func(testing.TB, string, func())) {
	t.Helper()
	o.KeepTimeout = patience // on a busy machine, too, all of it has its place
	adaptertest.RunLog(t, func(tb testing.TB, count int) (list []adapter.Factory) {
		for _, c := range startAll(tb, count, o) {
			list = append(list, c)
		}
		return list
	}, adaptertest.LogOptions{Nodes: 3, Trim: trim})
}

func TestCluster(t *testing.T) {
	c := redistest.Cluster(t, 0)
	for name, o := range map[string]redisstream.Options{
		"channels":         {},
		"sharded channels": {UseShardedPubSub: true},
		"several streams":  {StreamCount: 4},
	} {
		t.Run(name, func(t *testing.T) {
			o.URLs = c.URLs()
			conform(t, o)
		})
	}
	t.Run("names", func(t *testing.T) {
		for _, name := range []string{"{tag}x", "x{tag}", "{a}{b}", "{a{b}"} {
			s := attach(t, start(t, redisstream.Options{URLs: c.URLs(), StreamName: name}), "/")
			s.emit("hello")
			if s.offsetOf("hello") == "" {
				t.Errorf("%s: not kept", name)
			}
		}
		for _, name := range []string{"{}x", "x}", "{x", "{}{x}"} {
			if c, err := redisstream.New(patient(t), redisstream.Options{URLs: c.URLs(), StreamName: name}); err == nil {
				t.Errorf("%s: no error", name)
				c.Close(patient(t))
			}
		}
	})
	t.Run("log", func(t *testing.T) {
		conformLog(t, redisstream.Options{URLs: c.URLs(), StreamCount: 3, StreamName: "logs", ChannelPrefix: "logs"}, nil)
	})
}

// The counters tell what went through the stream, and what past it.
func TestStats(t *testing.T) {
	r := redistest.Standalone(t)
	nodes := startAll(t, 2, redisstream.Options{URLs: []string{r.URL()}})
	from, to := attach(t, nodes[0], "/"), attach(t, nodes[1], "/")
	from.emit("hello")
	to.waitLen(1)
	if err := from.a.Request(patient(t), &adapter.Message{Kind: adapter.Fetch}, func(adapter.Response) {}); err != nil {
		t.Fatal(err)
	}
	asked, answered := nodes[0].Stats(), nodes[1].Stats()
	if asked.Peers != 1 || asked.Written == 0 || asked.Kept == 0 || asked.Requests != 1 || asked.Partial != 0 {
		t.Errorf("of who asked: %+v", asked)
	}
	if answered.Peers != 1 || answered.Read == 0 || answered.Answers != 1 || answered.Channels.Published == 0 || answered.Channels.Received == 0 {
		t.Errorf("of who answered: %+v", answered)
	}
	for _, s := range []redisstream.Stats{asked, answered} {
		if s.Drops != (redisstream.Drops{}) || s.Channels.Drops != (redisstream.ChannelDrops{}) {
			t.Errorf("something was dropped: %+v", s)
		}
	}
}
