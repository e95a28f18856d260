package faults_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/socketeer-io/socketeer"
	"github.com/socketeer-io/socketeer/adapter"
	"github.com/socketeer-io/socketeer/internal/redistest"
)

type args = map[string]any

// mixed is two Go and two Node.js servers with a client each. All clients live
// in the process of the first Node.js server; the second one is for breaking.
type mixed struct {
	asker  *node
	other  *node
	start  func(silent bool) *redistest.Peer
	stays  *redistest.Peer
	breaks *redistest.Peer
	uid    string // of the one that breaks
	victim string // its client
}

// nodeAdapters are what Node.js calls the kinds.
var nodeAdapters = map[string]string{"classic": "redis", "sharded": "redis-sharded", "streams": "redis-streams"}

// foreign returns the options of a Node.js server in a cluster of the kind.
func (k kind) foreign(adapter, prefix string, urls ...string) redistest.NodeOptions {
	o := redistest.NodeOptions{Adapter: adapter, URLs: urls, Recovery: k.keeps, AdapterOptions: args{"key": prefix, "channelPrefix": prefix}}
	if k.keeps {
		o.AdapterOptions = args{"streamName": prefix, "channelPrefix": prefix, "sessionKeyPrefix": prefix + ":"}
	}
	return o
}

func startMixed(t testing.TB, k kind, url string) *mixed {
	t.Helper()
	prefix := unique()
	m := new(mixed)
	m.start = func(silent bool) *redistest.Peer {
		o := k.foreign(nodeAdapters[k.name], prefix, url)
		o.ServerSideSilent = silent
		return redistest.Node(t, o)
	}
	m.stays = m.start(false)
	var nodes []*node
	for i := range 2 {
		n := startNode(t, k, []string{url}, prefix, fmt.Sprint("go", i))
		n.io.OnServerSide("ask", func(_ context.Context, m *socketeer.Message) error { return m.Ack(n.name) })
		nodes = append(nodes, n)
	}
	m.asker, m.other = nodes[0], nodes[1]
	for _, n := range nodes {
		must(t, n.WaitPeers(patient(t), 1))
		m.stays.Connect(args{"url": "http://" + n.addr, "ack": []any{"yes"}})
	}
	m.stays.Connect(args{"ack": []any{"yes"}})
	return m
}

// breakable starts the server that is to be broken, with a client that does not
// acknowledge anything.
func (m *mixed) breakable(t testing.TB) {
	t.Helper()
	m.breaks = m.start(true)
	m.victim = m.stays.Connect(args{"url": m.breaks.URL(), "silent": true})
	must(t, json.Unmarshal(m.breaks.Must("uid", nil), &m.uid))
	for _, p := range []*redistest.Peer{m.stays, m.breaks} { // Node.js subscribes without waiting for it
		eventually(t, "all servers to be there", func() bool { return string(p.Must("serverCount", nil)) == "4" })
	}
}

// asked is what came of a request.
type asked struct {
	answers int
	missing []string
	err     error
	took    time.Duration
}

// request is one that is made while a peer breaks.
type request struct {
	name    string
	answers int // of the others
	make    func(context.Context, *mixed) (answers int, err error)
	// arrived counts those that the peer has got and not answered; nil: it
	// answers at once, so it has to be frozen before.
	arrived func(*mixed) int
}

var requests = []request{
	{"fetch", 3, func(ctx context.Context, m *mixed) (n int, err error) {
		for _, e := range m.asker.io.All().Sockets(ctx) {
			if e != nil {
				err = e
			} else {
				n++
			}
		}
		return n, err
	}, nil},
	{"acknowledgements", 3, func(ctx context.Context, m *mixed) (int, error) {
		replies, err := m.asker.io.All().EmitWithAck(ctx, "question")
		return len(replies), err
	}, func(m *mixed) int {
		return count(m.stays, func(h redistest.Happening) bool { return h.Client == m.victim && h.Event == "question" })
	}},
	{"server side", 2, func(ctx context.Context, m *mixed) (int, error) {
		replies, err := m.asker.io.ServerSideEmitWithAck(ctx, "ask")
		return len(replies), err
	}, func(m *mixed) int {
		return count(m.breaks, func(h redistest.Happening) bool { return h.Happened == "serverSide" && h.Event == "ask" })
	}},
}

func count(p *redistest.Peer, fits func(redistest.Happening) bool) (n int) {
	for _, h := range p.Happenings() {
		if fits(h) {
			n++
		}
	}
	return n
}

// while makes a request, and breaks the peer in the middle of it.
func (r request) while(t *testing.T, m *mixed, patience time.Duration, breaks func()) asked {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	done := make(chan asked, 1)
	arrived := r.arrived
	if arrived == nil { // at the others
		arrived = func(m *mixed) int { return int(m.other.answered()) }
		m.breaks.Pause()
	}
	before := arrived(m)
	go func() {
		began := time.Now()
		n, err := r.make(ctx, m)
		a := asked{answers: n, err: err, took: time.Since(began)}
		var partial *adapter.PartialError
		var acks *socketeer.AckError
		switch {
		case errors.As(err, &partial):
			a.missing = partial.Missing
		case errors.As(err, &acks):
			a.missing = acks.Missing
		}
		done <- a
	}()
	eventually(t, "the request", func() bool { return arrived(m) > before || len(done) > 0 })
	breaks()
	return <-done
}

// names reports whether the missing are the peer that broke: by its uid, alone,
// or on the classic wire, where Node.js answers without, as one of several.
func (a asked) names(m *mixed, k kind) bool {
	if len(a.missing) != 1 || !strings.Contains(a.missing[0], m.uid) {
		return false
	}
	return a.missing[0] == "node.js peer "+m.uid || k.name == "classic" &&
		(strings.HasPrefix(a.missing[0], "1 of node.js peers ") || strings.HasPrefix(a.missing[0], "1 clients of node.js peers "))
}

// stopTimeout is for requests that are not answered completely.
const stopTimeout = 3 * time.Second

// TestPeers breaks a Node.js server in the middle of every kind of request. The
// others' answers come, and the error names the one that is missing.
func TestPeers(t *testing.T) {
	t.Parallel()
	url := redistest.Standalone(t).URL()
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			m := startMixed(t, k, url)
			for _, r := range requests {
				m.breakable(t)
				m.stopped(t, k, r)
				m.killed(t, k, r)
			}
		})
	}
}

// stopped freezes it: within the timeout.
func (m *mixed) stopped(t *testing.T, k kind, r request) {
	t.Helper()
	a := r.while(t, m, stopTimeout, m.breaks.Pause)
	t.Logf("%s, stopped: %d answers, %v, after %v", r.name, a.answers, a.err, a.took)
	if a.answers != r.answers || !a.names(m, k) || !errors.Is(a.err, context.DeadlineExceeded) {
		t.Errorf("%s: %d answers, %v", r.name, a.answers, a.err)
	}
	if a.took > 2*stopTimeout {
		t.Errorf("%s took %v", r.name, a.took)
	}
	m.breaks.Resume()
	m.breaks.Must("ping", nil)
}

// killed kills it: nobody waits for the timeout, but for clients of Node.js
// servers on the classic wire, whose acknowledgements do not say whose they are:
// they may be those of another server.
func (m *mixed) killed(t *testing.T, k kind, r request) {
	t.Helper()
	timeout, waits := patience, k.name == "classic" && r.name == "acknowledgements"
	if waits {
		timeout = stopTimeout
	}
	a := r.while(t, m, timeout, m.breaks.Kill)
	t.Logf("%s, killed: %d answers, %v, after %v", r.name, a.answers, a.err, a.took)
	if a.answers != r.answers || !a.names(m, k) || errors.Is(a.err, context.DeadlineExceeded) != waits {
		t.Errorf("%s: %d answers, %v", r.name, a.answers, a.err)
	}
	if a.took > patience/3 {
		t.Errorf("%s took %v", r.name, a.took)
	}
}
