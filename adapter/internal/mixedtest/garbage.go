package mixedtest

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/socketeer-io/socketeer/adapter"
	"github.com/socketeer-io/socketeer/internal/nodewire"
	"github.com/socketeer-io/socketeer/internal/redislink"
)

// Victim is a cluster of Go nodes that is sent what makes no sense, or is too
// much.
type Victim struct {
	Wire   Wire
	URL    string
	Prefix string // begins the channels' names
	// Start starts a Go node, and closes it at the end of the test.
	Start func(tb testing.TB, name string, log *slog.Logger) Target
	// Also sends garbage elsewhere; nil: there is nothing else.
	Also func(t *testing.T, r *Raw, garbage [][]byte)
}

// Target is a node of a [Victim].
type Target struct {
	Member
	Node  adapter.Node
	Ready func() error
	Count func() Counts
}

// Counts are what a [Target] has counted.
type Counts struct {
	Malformed uint64 // received, and not to be understood
	Late      uint64 // responses to no request
	TooMuch   uint64 // responses larger than can be kept
	Lost      uint64 // received faster than they could be looked at
}

// Garbage is what channels may carry besides messages: what is none, what has
// other types than expected, random bytes, and the beginnings of what is one.
func Garbage(valid ...[]byte) (list [][]byte) {
	for _, s := range []string{
		"", "{", "{}", "[]", "null", "nonsense", "\x00", "\xff\xff\xff", "\x93", "\x93\xa1x\x80\x80", "\xdd\xff\xff\xff\xff", "\xdf\xff\xff\xff\xff",
		`{"type":3}`, `{"type":"3","uid":5,"nsp":[]}`, `{"type":3,"data":{"packet":{"type":2,"data":"x"},"opts":{}},"uid":"a","nsp":"/"}`,
		`{"type":3,"data":{"packet":null,"opts":null},"uid":"a","nsp":"/"}`, `{"type":250,"uid":"a","nsp":"/"}`, `{"type":7,"uid":"a","nsp":"/","data":{}}`,
		`{"uid":"a","type":99}`, `{"uid":"a","requestId":"x","type":5,"opts":5}`, `{"uid":"a","type":2,"rooms":["everybody?"]}`,
		`{"uid":"a","type":4,"close":true}`, `{"requestId":1}`, `{"requestId":"none","sockets":[1,{},null]}`,
		strings.Repeat("[", 100_000), strings.Repeat(`{"a":`, 100_000), strings.Repeat("\x91", 100_000), strings.Repeat("\x81\xa1a", 100_000),
	} {
		list = append(list, []byte(s))
	}
	const seed, many, longest = 4, 200, 300
	random := rand.New(rand.NewPCG(seed, seed))
	for range many {
		b := make([]byte, 1+random.IntN(longest))
		for i := range b {
			b[i] = byte(random.Uint32())
		}
		list = append(list, b)
	}
	for _, v := range valid {
		for i := range v {
			list = append(list, v[:i])
		}
	}
	return list
}

// RunGarbage checks that what makes no sense is counted, told once and ignored,
// on every channel, also while an answer is waited for, and leaves nothing in
// memory.
func RunGarbage(t *testing.T, v Victim) {
	t.Helper()
	var said records
	from, to := v.Start(t, "n0", slog.New(said.of("n0"))), v.Start(t, "n1", slog.New(said.of("n1")))
	for _, n := range []Target{from, to} {
		must(t, n.WaitPeers(Patient(t), 1))
	}
	a, b := openSite(t, from), openSite(t, to)
	must(t, b.Join(Patient(t), "r"))
	p := NewImpostor(t, v.Wire, v.URL, v.Prefix)
	result := make(chan error, 1)
	go func() {
		result <- b.Request(Patient(t), &adapter.Message{Kind: adapter.Fetch}, func(adapter.Response) {})
	}()
	request := p.asked(nodewire.FetchSockets)
	answer := p.encode(&nodewire.Message{Type: nodewire.FetchSocketsResponse, RequestID: request.RequestID})
	garbage := Garbage(append(p.sensible(), answer)...)
	const rounds = 3
	var before, after runtime.MemStats
	for round := range rounds {
		if round == 1 { // what it keeps at all it has by now
			settle(t, from, to)
			runtime.GC()
			runtime.ReadMemStats(&before)
		}
		p.floodAll(garbage, v.Prefix+"#/#"+b.sid+"#", v.Prefix+"-response#/#"+request.UID+"#")
		if v.Also != nil {
			v.Also(t, p.Raw, garbage)
		}
		p.Forget()
	}
	must(t, p.respond(request.UID, answer))
	select {
	case err := <-result:
		if err != nil {
			t.Errorf("the request under way: %v", err)
		}
	case <-Patient(t).Done():
		t.Fatal("the request does not end")
	}
	must(t, a.Publish(&adapter.Message{Kind: adapter.Broadcast, Data: []byte(stillHere), Target: adapter.Target{Rooms: []string{"r"}}}))
	b.until(t, stillHere)
	must(t, p.Close()) // it would be asked
	p.Forget()
	must(t, a.Request(Patient(t), &adapter.Message{Kind: adapter.Fetch}, func(adapter.Response) {}))
	settle(t, from, to)
	runtime.GC()
	runtime.ReadMemStats(&after)
	const bound = 4 << 20
	if grown := int(after.HeapAlloc) - int(before.HeapAlloc); grown > bound {
		t.Errorf("the heap grew by %d", grown)
	}
	for name, n := range map[string]Target{"n0": from, "n1": to} {
		must(t, n.Ready())
		if c := n.Count(); c.Malformed < uint64(rounds*len(garbage)) || c.Lost != 0 {
			t.Errorf("%s: of %d times %d on each channel: %+v", name, rounds, len(garbage), c)
		}
		if lines := said.all(name); len(lines) != 1 {
			t.Errorf("%s said %q", name, lines)
		}
	}
	for _, data := range append(a.all(), b.all()...) {
		if data != stillHere {
			t.Errorf("it handled %s", data)
		}
	}
}

// stillHere is an event that makes sense.
const stillHere = `["still here"]`

// sensible returns messages of all kinds, which make no sense when they are cut.
func (p *Impostor) sensible() (list [][]byte) {
	p.tb.Helper()
	members := p.prefix + "-socketeer-members"
	must(p.tb, p.Subscribe(Patient(p.tb), members))
	list = append(list, p.Until(func(m redislink.Message) bool { return m.Channel == members }).Data)
	event := []byte(`["truncated",[1,{"a":"b"}]]`)
	for _, m := range []*nodewire.Message{
		{Type: nodewire.Broadcast, Data: event, Target: adapter.Target{Rooms: []string{"r"}}},
		{Type: nodewire.Broadcast, Data: []byte(`["truncated",{"_placeholder":true,"num":0}]`), Attachments: [][]byte{{1, 2, 3}}},
		{Type: nodewire.Broadcast, RequestID: "q1", Data: event},
		{Type: nodewire.FetchSockets, RequestID: "q2"},
		{Type: nodewire.SocketsJoin, Rooms: []string{"truncated"}},
		{Type: nodewire.ServerSideEmit, RequestID: "q3", Data: event},
	} {
		list = append(list, p.encode(m))
	}
	return list
}

// floodAll sends garbage to all channels that anybody subscribes to, and to some
// that patterns may cover.
func (p *Impostor) floodAll(garbage [][]byte, more ...string) {
	p.tb.Helper()
	channels, shards := p.listening()
	channels = append(channels, more...)
	ctx := Patient(p.tb)
	for _, g := range garbage {
		for _, name := range channels {
			p.flood(ctx, false, name, g)
		}
		for _, name := range shards {
			p.flood(ctx, true, name, g)
		}
	}
}

// settle waits until a message of each node has gone its way through Redis and
// what came before it has been looked at.
func settle(t *testing.T, nodes ...Target) {
	t.Helper()
	for ctx, last := Patient(t), ^uint64(0); ; {
		var sum uint64
		for _, n := range nodes {
			must(t, n.WaitPeers(ctx, 1))
			sum += n.Count().Malformed
		}
		if sum == last {
			return
		}
		last = sum
		must(t, Moment(ctx))
	}
}

// site is a namespace with one socket that notes the data of what it is handed.
type site struct {
	adapter.Adapter
	sid string

	mu      sync.Mutex
	handled []string
	changed chan struct{}
}

func openSite(tb testing.TB, n Target) *site {
	tb.Helper()
	s := &site{sid: n.Node.Tag() + "0123456789abcdef", changed: make(chan struct{})}
	a, err := n.Open(Patient(tb), "/", s)
	must(tb, err)
	s.Adapter = a
	tb.Cleanup(func() {
		if err := a.Close(); err != nil {
			tb.Error(err)
		}
	})
	return s
}

// Handle implements adapter.Local.
func (s *site) Handle(m *adapter.Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handled = append(s.handled, fmt.Sprintf("%s%s", m.Data, strings.Join(m.Rooms, ",")))
	close(s.changed)
	s.changed = make(chan struct{})
}

// Answer implements adapter.Local.
func (s *site) Answer(_ context.Context, m *adapter.Message, reply func(adapter.Response)) {
	if m.Kind != adapter.Fetch {
		s.Handle(m)
	}
	reply(adapter.Response{Last: true, Sockets: []adapter.SocketInfo{{ID: s.sid, Handshake: []byte(`{}`), Data: []byte(`{}`)}}})
}

func (s *site) all() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.handled...)
}

func (s *site) until(tb testing.TB, data string) {
	tb.Helper()
	for ctx := Patient(tb); ; {
		s.mu.Lock()
		changed := s.changed
		s.mu.Unlock()
		for _, got := range s.all() {
			if got == data {
				return
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			tb.Fatalf("%s does not come", data)
		}
	}
}
