package adaptertest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/socketeer-io/socketeer/adapter"
)

// LogOptions tell RunLog what it runs against.
type LogOptions struct {
	// Nodes in the cluster. Default 1.
	Nodes int
	// Retain is the shortest time for which the log can be asked to keep
	// things: the test of expiry waits for it. Default 1 s.
	Retain time.Duration
	// Partial says that offsets order what one node sees and not what different
	// nodes do: nodes may see messages of different senders in different orders.
	// Then each node's order is tested, and joining a room has to bring a node's
	// offsets up to date with what others have sent.
	Partial bool
	// Trim has the log of a namespace forget the messages it keeps; it may emit
	// as many more as it likes. Nil skips the test that needs it.
	Trim func(tb testing.TB, nsp string, emit func())
}

// RunLog runs the suite of logs as subtests of t: what recovery relies on. The
// adapters that the nodes open are an [adapter.Log].
func RunLog(t *testing.T, start Nodes, o LogOptions) {
	o.Nodes = max(o.Nodes, 1)
	if o.Retain == 0 {
		o.Retain = time.Second
	}
	nodes := start(t, o.Nodes)
	for _, c := range []struct {
		name   string
		retain time.Duration
		run    func(t *testing.T, l *logs)
	}{
		{"offsets", time.Minute, offsets},
		{"one order on all nodes", time.Minute, oneOrder},
		{"missed", time.Minute, missed},
		{"missed content", time.Minute, missedContent},
		{"nothing between missed and joined", time.Minute, noGap},
		{"offsets that are none", time.Minute, badOffsets},
		{"sessions", time.Minute, sessions},
		{"one caller gets a session", time.Minute, oneCaller},
		{"namespaces have their own sessions", time.Minute, foreignSession},
		{"trimmed", time.Minute, func(t *testing.T, l *logs) { trimmed(t, l, o.Trim) }},
		{"expiry", o.Retain, expiry},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := &logs{t: t, nsp: "/log " + c.name, retain: c.retain, nodes: nodes, partial: o.Partial}
			l.sites = open(t, nodes, l.nsp)
			for _, s := range l.sites {
				l.log(s).Retain(c.retain)
			}
			c.run(t, l)
		})
	}
}

// logs is a namespace on all nodes.
type logs struct {
	t      *testing.T
	nsp    string
	retain time.Duration
	nodes  []adapter.Factory
	sites  []*site

	partial bool
	settled int
}

// settle brings the offsets of all nodes up to date, where that takes something.
func (l *logs) settle() {
	l.t.Helper()
	if !l.partial || len(l.sites) == 1 {
		return
	}
	l.settled++
	for _, s := range l.sites {
		room := fmt.Sprint("settle ", l.settled)
		if err := s.a.Join(l.ctx(), room); err != nil {
			l.t.Fatalf("join: %v", err)
		}
		s.a.Leave(room)
	}
}

// log returns a site's log.
func (l *logs) log(s *site) adapter.Log {
	l.t.Helper()
	log, ok := s.a.(adapter.Log)
	if !ok {
		l.t.Fatalf("%T is no adapter.Log", s.a)
	}
	return log
}

// node is one of the sites, by a number that may be larger.
func (l *logs) node(i int) *site { return l.sites[i%len(l.sites)] }

// emit appends on a site, and returns the offset.
func (l *logs) emit(s *site, to adapter.Target, data string, attachments ...[]byte) string {
	l.t.Helper()
	kept := make(chan string, 1)
	m := &adapter.Message{Kind: adapter.Broadcast, Target: to, Data: []byte(data), Attachments: attachments}
	if err := l.log(s).Append(m, func(offset string) { kept <- offset }); err != nil {
		l.t.Fatalf("append: %v", err)
	}
	select {
	case offset := <-kept:
		if offset == "" {
			l.t.Fatal("not kept")
		}
		l.settle()
		return offset
	case <-time.After(patience):
		l.t.Fatal("not told that it was kept")
	}
	return ""
}

// missed reads what a socket in the rooms has missed, as data.
func (l *logs) missed(s *site, offset string, rooms ...string) []string {
	l.t.Helper()
	list, err := l.log(s).Missed(patient(l.t), &adapter.Session{SID: rooms[0], Rooms: rooms}, offset)
	if err != nil {
		l.t.Fatalf("missed: %v", err)
	}
	var data []string
	for i, m := range list {
		if m.Offset == "" || i > 0 && !l.log(s).Newer(m.Offset, list[i-1].Offset) {
			l.t.Errorf("offset %q of message %d is not newer than the one before", m.Offset, i)
		}
		data = append(data, string(m.Data))
	}
	return data
}

// unrecoverable checks why something cannot be had.
func unrecoverable(t testing.TB, what string, err error, reasons ...string) {
	t.Helper()
	u, ok := err.(*adapter.Unrecoverable) //nolint:errorlint // as it comes
	if !ok || !slices.Contains(reasons, u.Reason) {
		t.Errorf("%s: error %v instead of an Unrecoverable: %q", what, err, reasons)
	}
}

func offsets(t *testing.T, l *logs) {
	var last string
	for i := range 50 {
		s := l.node(i)
		offset := l.emit(s, adapter.Target{}, `["e"]`)
		for _, c := range offset {
			if c <= ' ' || c > '~' || c == '"' || c == '\\' {
				t.Fatalf("offset %q has a %q", offset, c)
			}
		}
		if len(offset) > 1000 {
			t.Fatalf("offset %q is too long", offset)
		}
		if last != "" && (!l.log(s).Newer(offset, last) || l.log(s).Newer(last, offset) || l.log(s).Newer(offset, offset)) {
			t.Fatalf("%q was given after %q", offset, last)
		}
		last = offset
	}
}

// oneOrder has all nodes append at once, from several goroutines. Each node must
// see all of it in one order, its own in between, and what one goroutine
// appended in that order.
func oneOrder(t *testing.T, l *logs) {
	const senders, each = 4, 100
	total := len(l.sites) * senders * each
	type seen struct {
		mu      sync.Mutex
		offsets []string
		last    map[string]int // by sender
	}
	all := make([]*seen, len(l.sites))
	var wg sync.WaitGroup
	for n, s := range l.sites {
		all[n] = &seen{last: map[string]int{}}
		s.connect("r")
		see := func(m *adapter.Message) {
			var who string
			var i int
			if _, err := fmt.Sscanf(string(m.Data), "[%q,%d]", &who, &i); err != nil {
				t.Errorf("%s: %v", m.Data, err)
			}
			v := all[n]
			v.mu.Lock()
			defer v.mu.Unlock()
			if k := len(v.offsets); m.Offset == "" || k > 0 && !l.log(s).Newer(m.Offset, v.offsets[k-1]) {
				t.Errorf("node %d: offset %q does not follow the one before", n, m.Offset)
			}
			if v.last[who] != i {
				t.Errorf("node %d: %s's number %d comes after %d", n, who, i, v.last[who]-1)
			}
			v.offsets, v.last[who] = append(v.offsets, m.Offset), i+1
		}
		s.mu.Lock()
		s.seen = see
		s.mu.Unlock()
	}
	for n, s := range l.sites {
		for g := range senders {
			wg.Go(func() {
				for i := range each {
					m := &adapter.Message{Kind: adapter.Broadcast, Target: to("r"), Data: fmt.Appendf(nil, `["%d-%d",%d]`, n, g, i)}
					err := l.log(s).Append(m, func(offset string) {
						own := *m
						own.Offset = offset
						s.seen(&own)
						s.mu.Lock()
						s.signal()
						s.mu.Unlock()
					})
					if err != nil {
						t.Errorf("append: %v", err)
					}
				}
			})
		}
	}
	wg.Wait()
	for n, s := range l.sites {
		s.wait("everything to be seen", func() bool {
			all[n].mu.Lock()
			defer all[n].mu.Unlock()
			return len(all[n].offsets) == total
		})
		if n > 0 && !l.partial && !slices.Equal(all[n].offsets, all[0].offsets) {
			t.Errorf("nodes %d and 0 have not seen the same", n)
		}
	}
}

// noGap joins a room while another node sends to it: what Missed returns and
// what arrives must be all of it.
func noGap(t *testing.T, l *logs) {
	from, at := l.node(0), l.node(1)
	offset := l.emit(from, to("r"), "[-1]")
	stop := make(chan struct{})
	var wg sync.WaitGroup
	var sent int // read after wg.Wait
	wg.Go(func() {
		for ; ; sent++ {
			select {
			case <-stop:
				return
			default:
				l.emit(from, to("r"), fmt.Sprintf("[%d]", sent))
			}
		}
	})
	end := sync.OnceFunc(func() { close(stop); wg.Wait() })
	defer end()
	for range 10 {
		var mu sync.Mutex
		live := map[string]bool{}
		at.mu.Lock()
		at.seen = func(m *adapter.Message) {
			mu.Lock()
			defer mu.Unlock()
			live[string(m.Data)] = true
		}
		at.mu.Unlock()
		k := at.connect("r")
		// On one node, what is sent is not handed to Handle: it is read at last.
		got := l.missed(at, offset, "r")
		reached := len(got) + 20
		if len(l.sites) > 1 {
			at.wait("messages after the join", func() bool { mu.Lock(); defer mu.Unlock(); return live[fmt.Sprintf("[%d]", reached)] })
			mu.Lock()
			for i := range reached {
				if s := fmt.Sprintf("[%d]", i); !live[s] && (i >= len(got) || got[i] != s) {
					t.Errorf("%s was neither missed nor delivered", s)
				}
			}
			mu.Unlock()
		}
		at.leave(k, "r")
		at.a.Leave(k.id)
	}
	end()
	if got := l.missed(at, offset, "r"); len(got) != sent {
		t.Errorf("%d messages kept of %d", len(got), sent)
	}
}

func expiry(t *testing.T, l *logs) {
	log := l.log(l.node(0))
	short := &adapter.Session{SID: "short", PID: newID("p"), Rooms: []string{"short"}, Data: []byte("{}")}
	long := &adapter.Session{SID: "long", PID: newID("p"), Rooms: []string{"long"}, Data: []byte("{}")}
	ctx := patient(t)
	for _, s := range []*adapter.Session{short, long} {
		if err := log.SaveSession(ctx, s); err != nil {
			t.Fatal(err)
		}
	}
	tick := time.NewTicker(l.retain / 4)
	defer tick.Stop()
	for range 6 { // one and a half times as long
		<-tick.C
		if err := log.SaveSession(ctx, long); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := l.log(l.node(1)).TakeSession(ctx, long.PID); err != nil {
		t.Errorf("a session that was saved again: %v", err)
	}
	_, err := l.log(l.node(1)).TakeSession(ctx, short.PID)
	unrecoverable(t, "a session that is too old", err, adapter.NoSession)
}

// ctx is patient, for what must work.
func (l *logs) ctx() context.Context { return patient(l.t) }
