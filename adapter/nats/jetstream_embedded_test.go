package nats_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/socketeer-io/socketeer/adapter"
	"github.com/socketeer-io/socketeer/adapter/adaptertest"
	"github.com/socketeer-io/socketeer/adapter/nats"
	"github.com/socketeer-io/socketeer/internal/nettest"
)

// trio are three nodes whose embedded servers have JetStream.
type trio struct {
	tb    testing.TB
	dir   string
	addrs []string
	nodes []*nats.Cluster
}

func newTrio(tb testing.TB) *trio {
	tb.Helper()
	w := &trio{tb: tb, dir: tb.TempDir(), nodes: make([]*nats.Cluster, 3)}
	for range w.nodes {
		w.addrs = append(w.addrs, fmt.Sprint("127.0.0.1:", nettest.FreePort(tb)))
	}
	return w
}

func (w *trio) options(i int) nats.Options {
	o := quick(fmt.Sprint("n", i))
	o.ClusterAddr, o.Peers, o.Recovery = w.addrs[i], w.addrs, true
	o.JetStream = &nats.JetStreamOptions{StoreDir: filepath.Join(w.dir, o.Name)}
	return o
}

// start starts some of the nodes together, since they wait for each other.
func (w *trio) start(which ...int) {
	w.tb.Helper()
	var wg sync.WaitGroup
	begin := time.Now()
	for _, i := range which {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			c, err := nats.New(ctx, w.options(i))
			if err != nil {
				w.tb.Errorf("node %d: %v", i, err)
				return
			}
			w.nodes[i] = c
			w.tb.Cleanup(func() { c.Close(context.Background()) })
		})
	}
	wg.Wait()
	if w.tb.Failed() {
		w.tb.FailNow()
	}
	w.tb.Logf("started after %v", time.Since(begin))
	for _, c := range w.nodes {
		if err := c.WaitPeers(patient(w.tb), 2); err != nil {
			w.tb.Fatal(err)
		}
	}
}

func TestJetStreamEmbeddedConformance(t *testing.T) {
	t.Parallel()
	adaptertest.RunLog(t, func(tb testing.TB, _ int) []adapter.Factory {
		w := newTrio(tb)
		w.start(0, 1, 2)
		return factories(w.nodes)
	}, adaptertest.LogOptions{Nodes: 3, Retain: time.Second})
}

// One of three nodes ends without a goodbye, with its server, and comes back;
// then all end, and all come back with what they had.
func TestJetStreamEmbeddedNodesEnd(t *testing.T) {
	t.Parallel()
	w := newTrio(t)
	w.start(0, 1, 2)
	sites := attachAll(t, w.nodes)
	sites[2].emit("of the third")
	early := sites[0].offsetOf("of the third")
	stop := traffic(sites[:2])
	sites[0].waitLen(300)
	kill(t, w.nodes[2])
	eventually(t, "messages to be kept again", func() bool {
		data := fmt.Sprint("probe at ", time.Now())
		sites[0].emit(data)
		return sites[0].offsetOf(data) != ""
	})
	w.start(2)
	sites[2] = attach(t, w.nodes[2], "/")
	sent := stop()
	for i, s := range sites[:2] {
		s.waitAll(sent)
		if n := s.judge(fmt.Sprint("node ", i), sent); n > 0 {
			t.Errorf("node %d: %d were not kept", i, n)
		}
	}
	want, err := sites[0].missed(early)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := sites[2].missed(early); err != nil || strings.Join(got, ",") != strings.Join(want, ",") {
		t.Errorf("the node that came back has %d messages of %d: %v", len(got), len(want), err)
	}
	for _, c := range w.nodes {
		c.Close(context.Background())
	}
	w.start(0, 1, 2)
	got, err := attach(t, w.nodes[1], "/").missed(early)
	if err != nil || strings.Join(got, ",") != strings.Join(want, ",") {
		t.Errorf("after the end of all: %d messages of %d: %v", len(got), len(want), err)
	}
}

func TestJetStreamOptions(t *testing.T) {
	t.Parallel()
	plain := natsServer(t)
	three := []string{"127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"}
	for name, c := range map[string]struct {
		o    nats.Options
		want string
	}{
		"without recovery": {nats.Options{URL: plain, JetStream: &nats.JetStreamOptions{}}, "Recovery, which is off"},
		"no JetStream":     {nats.Options{URL: plain, Recovery: true, JetStream: &nats.JetStreamOptions{}}, "start it with -js"},
		"bad name":         {nats.Options{URL: plain, Recovery: true, JetStream: &nats.JetStreamOptions{Stream: "a.b"}}, `"a.b" cannot begin`},
		"dir with URL":     {nats.Options{URL: plain, Recovery: true, JetStream: &nats.JetStreamOptions{StoreDir: "x"}}, "StoreDir is for embedded"},
		"no dir":           {nats.Options{Name: "n", Recovery: true, JetStream: &nats.JetStreamOptions{}}, "needs a StoreDir"},
		"no name":          {nats.Options{Peers: three, Recovery: true, JetStream: &nats.JetStreamOptions{StoreDir: "x"}}, "needs a Name"},
		"two nodes": {nats.Options{Name: "n", ClusterAddr: three[0], Peers: three[:2], Recovery: true, JetStream: &nats.JetStreamOptions{StoreDir: "x"}},
			"3 nodes or more, and Peers tell of 2"},
		"too patient": {nats.Options{URL: plain, Recovery: true, JetStream: &nats.JetStreamOptions{KeepTimeout: time.Minute}}, "KeepTimeout of 1m0s"},
	} {
		if _, err := nats.New(patient(t), c.o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A node whose peers are not there gives up, and says why.
func TestJetStreamEmbeddedAlone(t *testing.T) {
	t.Parallel()
	w := newTrio(t)
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if _, err := nats.New(ctx, w.options(0)); err == nil || !strings.Contains(err.Error(), "more than half of its servers") {
		t.Errorf("got %v", err)
	}
}
