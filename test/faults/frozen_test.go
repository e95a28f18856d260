package faults_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/socketeer-io/socketeer"
	"github.com/socketeer-io/socketeer/adapter"
	"github.com/socketeer-io/socketeer/adapter/mesh"
	"github.com/socketeer-io/socketeer/adapter/nats"
	"github.com/socketeer-io/socketeer/client"
	"github.com/socketeer-io/socketeer/internal/process"
	"github.com/socketeer-io/socketeer/internal/redistest"
)

// joined is a place in a cluster of any kind.
type joined interface {
	adapter.Factory
	WaitPeers(ctx context.Context, n int) error
}

// frozen is a cluster of two Go nodes here, one in a process of its own that is
// to be frozen, and over Redis a Node.js server; with a client each.
type frozen struct {
	asker  *socketeer.Server
	victim *command
	node   *redistest.Peer // nil: there is none
	others int             // servers besides the asker and the victim
}

// freezable starts one. The victim is started first, with flags.
func freezable(t *testing.T, flags []string, join func(name string) joined, node func() *redistest.Peer) *frozen {
	t.Helper()
	f := &frozen{victim: serve(t, "victim", flags...), others: 1}
	addrs := []string{f.victim.addr}
	if node != nil {
		f.node = node()
		addrs = append(addrs, f.node.Addr())
		f.others++
	}
	var members []joined
	for _, name := range []string{"asker", "other"} {
		member := join(name)
		io, err := socketeer.NewServer(socketeer.WithAdapter(member))
		must(t, err)
		io.OnServerSide("ask", func(_ context.Context, m *socketeer.Message) error { return m.Ack(name) })
		web := httptest.NewServer(io)
		t.Cleanup(func() {
			io.Close()
			web.Close()
		})
		if f.asker == nil {
			f.asker = io
		}
		members, addrs = append(members, member), append(addrs, web.Listener.Addr().String())
	}
	for _, m := range members {
		must(t, m.WaitPeers(patient(t), 2))
	}
	for _, addr := range addrs {
		l := listen(t, "client of "+addr, addr)
		l.socket.On("question", func(_ context.Context, m *client.Message) error { return m.Ack("yes") })
	}
	f.whole(t)
	return f
}

// servers is how many there are.
func (f *frozen) servers() int { return f.others + 2 }

// whole waits until everybody answers both kinds.
func (f *frozen) whole(t *testing.T) {
	t.Helper()
	eventually(t, "everybody to answer", func() bool {
		for _, r := range f.requests() {
			ctx, cancel := context.WithTimeout(t.Context(), freezeTimeout)
			n, err := r.make(ctx)
			cancel()
			if err != nil || r.name != "server side" && n != f.servers() { // the bench application does not listen
				return false
			}
		}
		if f.node == nil {
			return true
		}
		var found []struct{ ID string }
		v, err := f.node.Call(t.Context(), "fetchSockets", args{"timeout": freezeTimeout.Milliseconds()})
		return err == nil && json.Unmarshal(v, &found) == nil && len(found) == f.servers()
	})
}

// freezeTimeout is for requests that a frozen node does not answer. It is shorter
// than the time after which its heartbeats are missed.
const freezeTimeout = 1500 * time.Millisecond

type frozenRequest struct {
	name    string
	answers int // without the victim's
	make    func(context.Context) (answers int, err error)
}

// requests are those of the asker.
func (f *frozen) requests() []frozenRequest {
	return []frozenRequest{
		{"fetch", f.others + 1, func(ctx context.Context) (n int, err error) {
			for _, e := range f.asker.All().Sockets(ctx) {
				if e != nil {
					err = e
				} else {
					n++
				}
			}
			return n, err
		}},
		{"acknowledgements", f.others + 1, func(ctx context.Context) (int, error) {
			replies, err := f.asker.All().EmitWithAck(ctx, "question")
			return len(replies), err
		}},
		{"server side", f.others, func(ctx context.Context) (int, error) {
			replies, err := f.asker.ServerSideEmitWithAck(ctx, "ask")
			return len(replies), err
		}},
	}
}

// TestFrozenGoNode freezes a Go node: whoever asks the cluster gets the answers
// of the others in time; Go nodes also get its name. When it goes on, it answers
// again.
func TestFrozenGoNode(t *testing.T) {
	t.Parallel()
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			url := redistest.Standalone(t).URL()
			flag := map[string]string{"classic": "redis", "sharded": "redis-sharded", "streams": "redis-streams"}[k.name]
			f := freezable(t, []string{"--adapter", flag, "--redis", url},
				func(name string) joined { return k.start(t, []string{url}, "socket.io", name) },
				func() *redistest.Peer {
					return redistest.Node(t, redistest.NodeOptions{
						Adapter: nodeAdapters[k.name], URLs: []string{url}, ServerSideAnswer: []any{"node"},
						AdapterOptions: args{"requestsTimeout": freezeTimeout.Milliseconds()},
					})
				})
			f.freeze(t)
		})
	}
	for name, join := range map[string]func(ctx context.Context, name, peer string) (joined, func(context.Context) error, error){
		"mesh": func(ctx context.Context, name, peer string) (joined, func(context.Context) error, error) {
			c, err := mesh.New(ctx, mesh.Options{Name: name, Peers: []string{peer}})
			return c, c.Close, err
		},
		"nats": func(ctx context.Context, name, peer string) (joined, func(context.Context) error, error) {
			c, err := nats.New(ctx, nats.Options{Name: name, Peers: []string{peer}})
			return c, c.Close, err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addr := freeAddr(t)
			f := freezable(t, []string{"--adapter", name, "--cluster-addr", addr}, func(node string) joined {
				c, end, err := join(patient(t), node, addr)
				must(t, err)
				t.Cleanup(func() { must(t, end(context.Background())) })
				return c
			}, nil)
			f.freeze(t)
		})
	}
}

// freeze freezes the victim, has everybody ask at once, and lets it go on.
func (f *frozen) freeze(t *testing.T) {
	t.Helper()
	must(t, process.Freeze(f.victim.Process))
	ctx, cancel := context.WithTimeout(t.Context(), freezeTimeout)
	defer cancel()
	began := time.Now()
	var all sync.WaitGroup
	for _, r := range f.requests() {
		all.Go(func() {
			n, err := r.make(ctx)
			took := time.Since(began)
			var missing []string
			var partial *adapter.PartialError
			var acks *socketeer.AckError
			switch {
			case errors.As(err, &partial):
				missing = partial.Missing
			case errors.As(err, &acks):
				missing = acks.Missing
			}
			if n != r.answers || !slices.Equal(missing, []string{"victim"}) || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s: %d answers, missing %q, %v", r.name, n, missing, err)
			}
			if took > 2*freezeTimeout {
				t.Errorf("%s took %v", r.name, took)
			}
		})
	}
	if f.node != nil {
		all.Go(func() { f.nodeAsks(t) })
	}
	all.Wait()
	must(t, process.Thaw(f.victim.Process))
	f.whole(t)
}

// nodeAsks has the Node.js server ask while the victim is frozen. It gets what
// it gets of its own kind: an error, and what has come, but for fetchSockets.
func (f *frozen) nodeAsks(t *testing.T) {
	t.Helper()
	var all sync.WaitGroup
	for op, want := range map[string][]string{
		"fetchSockets":          nil,
		"emitWithAck":           {"yes", "yes", "yes"},
		"serverSideEmitWithAck": {"asker", "other"},
	} {
		all.Go(func() {
			event := "question"
			if op == "serverSideEmitWithAck" {
				event = "ask"
			}
			_, err := f.node.Call(patient(t), op, args{"event": event, "timeout": freezeTimeout.Milliseconds()})
			var failed *redistest.PeerError
			if !errors.As(err, &failed) || op != "emitWithAck" && !strings.Contains(failed.Text, "timeout") {
				t.Errorf("%s of Node.js: %v", op, err)
				return
			}
			var got []string
			if want != nil && json.Unmarshal(failed.Data, &got) != nil {
				t.Errorf("%s of Node.js: %s", op, failed.Data)
			}
			if slices.Sort(got); !slices.Equal(got, want) {
				t.Errorf("%s of Node.js: %v, %q", op, err, got)
			}
			t.Logf("%s of Node.js: %v, with %s", op, err, failed.Data)
		})
	}
	all.Wait()
}
