package adaptertest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/socketeer-io/socketeer/adapter"
)

// ask makes a request and returns the responses.
func ask(ctx context.Context, s *site, m *adapter.Message) (got []adapter.Response, err error) {
	var one sync.Mutex
	err = s.a.Request(ctx, m, func(r adapter.Response) {
		if !one.TryLock() {
			s.t.Errorf("two responses at once")
			return
		}
		defer one.Unlock()
		got = append(got, r)
	})
	return got, err
}

func fetch(t *testing.T, s []*site) {
	var want []string
	for i, n := range s {
		for j := range 3 * (i + 1) {
			k := n.connect(fmt.Sprint("r", j), "all")
			if i > 0 {
				want = append(want, k.id+n.name)
			}
		}
	}
	got, err := ask(patient(t), s[0], &adapter.Message{Kind: adapter.Fetch, Target: to("all")})
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	last := make(map[string]int)
	for _, r := range got {
		for _, k := range r.Sockets {
			ids = append(ids, k.ID+r.Node)
			if len(k.Rooms) != 3 || !slices.Contains(k.Rooms, k.ID) || string(k.Handshake) != `{"h":1}` || string(k.Data) != `{"d":2}` {
				t.Errorf("got %+v", k)
			}
		}
		if r.Last {
			last[r.Node]++
		}
	}
	slices.Sort(ids)
	slices.Sort(want)
	if !slices.Equal(ids, want) {
		t.Errorf("got %d sockets %q, want %d %q", len(ids), ids, len(want), want)
	}
	for _, n := range s[1:] {
		if last[n.name] != 1 {
			t.Errorf("%d last responses of %s, want 1", last[n.name], n.name)
		}
	}
	if got, err := ask(patient(t), s[0], &adapter.Message{Kind: adapter.Fetch, Target: to("r5")}); err != nil || count(got) != 2 {
		t.Errorf("room r5: %d sockets, %v; want 2", count(got), err)
	}
}

func count(rs []adapter.Response) (n int) {
	for _, r := range rs {
		n += len(r.Sockets)
	}
	return n
}

func acks(t *testing.T, s []*site) {
	var ids []string
	for range 5 {
		ids = append(ids, s[1].connect("r").id)
	}
	ids = append(ids, s[2].connect("r").id)
	s[2].connect()
	got, err := ask(patient(t), s[0], &adapter.Message{
		Kind: adapter.Broadcast, Target: to("r"), Data: []byte(`["q"]`), Flags: adapter.Flags{Timeout: time.Second},
	})
	if err != nil {
		t.Fatal(err)
	}
	expected := 0
	counted := make(map[string]bool)
	var answered []string
	for _, r := range got {
		switch {
		case r.SID != "":
			answered = append(answered, r.SID)
			if string(r.Data) != fmt.Sprintf(`["ack of %s"]`, r.SID) {
				t.Errorf("ack %+v", r)
			}
			if !counted[r.Node] {
				t.Errorf("an ack of %s came before its count", r.Node)
			}
		default:
			expected += r.Count
			counted[r.Node] = true
		}
	}
	slices.Sort(answered)
	slices.Sort(ids)
	if expected != 6 || !slices.Equal(answered, ids) {
		t.Errorf("%d expected; got %q, want %q", expected, answered, ids)
	}
}

// requestOrder: a request overtakes no message and is overtaken by none.
func requestOrder(t *testing.T, s []*site) {
	k := s[1].connect("r")
	var want []string
	for i := range 100 {
		a, b := fmt.Sprint("message ", i), fmt.Sprint("request ", i)
		want = append(want, a, b)
		s[0].emit(to("r"), a)
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		_, err := ask(ctx, s[0], &adapter.Message{Kind: adapter.Broadcast, Target: to("r"), Data: event(b, 0)})
		cancel()
		if err != nil {
			t.Fatal(err)
		}
	}
	s[1].received(k, want...)
}

func serverSide(t *testing.T, s []*site) {
	m := &adapter.Message{Kind: adapter.ServerSideEmit, Data: event("e", 2), Attachments: [][]byte{{1, 2}, {3}}}
	if err := s[0].a.Publish(m); err != nil {
		t.Fatal(err)
	}
	for _, n := range s[1:] {
		n.wait("the event", func() bool { return len(n.handled) == 1 })
		n.mu.Lock()
		if got := text(n.handled[0]); got != "e\x01\x02\x03" {
			t.Errorf("got %q", got)
		}
		n.mu.Unlock()
	}
	got, err := ask(patient(t), s[0], m)
	if err != nil {
		t.Fatal(err)
	}
	replies := make(map[string]bool)
	for _, r := range got {
		var args []struct{ Node string }
		if err := json.Unmarshal(r.Data, &args); err != nil || len(args) != 1 || args[0].Node != r.Node {
			t.Errorf("reply of %s: %s, %v", r.Node, r.Data, err)
		}
		replies[r.Node] = true
		if len(r.Attachments) != 1 || string(r.Attachments[0]) != "\x01\x02" {
			t.Errorf("attachments %v", r.Attachments)
		}
	}
	for _, n := range s[1:] {
		if !replies[n.name] || len(replies) != len(s)-1 {
			t.Errorf("replies of %v", replies)
		}
	}
	s[0].mu.Lock()
	defer s[0].mu.Unlock()
	if len(s[0].handled) != 0 {
		t.Errorf("the sender received its own event")
	}
}

func setAnswer(s *site, f func(*answering) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = f
}

// frozen: a node that does not answer costs the caller its patience and
// nothing else; what the others answered is there.
func frozen(t *testing.T, s []*site) {
	k := s[2].connect()
	s[1].connect()
	ended := make(chan struct{})
	setAnswer(s[1], func(a *answering) bool {
		a.reply(adapter.Response{Sockets: []adapter.SocketInfo{{ID: "first half"}}})
		context.AfterFunc(a.ctx, func() { close(ended) })
		return true
	})
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	got, err := ask(ctx, s[0], &adapter.Message{Kind: adapter.Fetch})
	missing(t, err, s[1].name)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("cause: %v", err)
	}
	if !holds(got, k.id) || !holds(got, "first half") {
		t.Errorf("what was answered is missing: %+v", got)
	}
	select {
	case <-ended:
	case <-time.After(patience):
		t.Error("the answering side was not told that the time is over")
	}
}

func holds(rs []adapter.Response, id string) bool {
	return slices.ContainsFunc(rs, func(r adapter.Response) bool {
		return slices.ContainsFunc(r.Sockets, func(k adapter.SocketInfo) bool { return k.ID == id })
	})
}

func missing(t *testing.T, err error, want ...string) {
	t.Helper()
	var partial *adapter.PartialError
	if !errors.As(err, &partial) {
		t.Fatalf("got %v, want a PartialError", err)
	}
	slices.Sort(want)
	if !slices.Equal(partial.Missing, want) {
		t.Errorf("missing %q, want %q", partial.Missing, want)
	}
}

func concurrentRequests(t *testing.T, s []*site) {
	for _, n := range s {
		n.connect("r")
	}
	var wg sync.WaitGroup
	for _, n := range s {
		for range 4 {
			wg.Go(func() {
				for range 25 {
					got, err := ask(patient(t), n, &adapter.Message{Kind: adapter.Fetch, Target: to("r")})
					if err != nil || count(got) != len(s)-1 {
						t.Errorf("%s: %d sockets, %v", n.name, count(got), err)
					}
				}
			})
		}
	}
	wg.Wait()
}

// death: a node that dies while it is waited for ends the wait well before
// the caller's patience does.
func (u *suite) death(t *testing.T) {
	if u.Kill == nil {
		t.Skip("no way to kill a node")
	}
	s := u.open(t, u.start(t, u.Nodes), "/")
	k := s[2].connect("r")
	asked := make(chan struct{})
	setAnswer(s[1], func(*answering) bool { close(asked); return true })
	var killed time.Time
	var wg sync.WaitGroup
	wg.Go(func() {
		<-asked
		killed = time.Now()
		u.Kill(t, s[1].node)
	})
	got, err := ask(patient(t), s[0], &adapter.Message{Kind: adapter.Fetch})
	wg.Wait()
	t.Logf("noticed %v after the death", time.Since(killed))
	if u.Lacks&NamedMissing == 0 {
		missing(t, err, s[1].name)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the wait ended only with the caller's patience")
	}
	if !holds(got, k.id) {
		t.Errorf("what was answered is missing: %+v", got)
	}
	// The rest of the cluster goes on.
	s[0].emit(to("r"), "still here")
	s[2].received(k, "still here")
	if err := s[2].join(patient(t), k, "new"); err != nil {
		t.Fatal(err)
	}
	s[0].emit(to("new"), "joined")
	s[2].received(k, "still here", "joined")
	if got, err := ask(patient(t), s[0], &adapter.Message{Kind: adapter.Fetch}); err != nil || !holds(got, k.id) {
		t.Errorf("after the death: %v, %v", got, err)
	}
}

func (u *suite) isolation(t *testing.T, nodes []adapter.Factory) {
	x, y := u.open(t, nodes, "/x"), u.open(t, nodes, "/x.y *")
	kx, ky := x[1].connect("r"), y[1].connect("r")
	x[0].emit(to("r"), "x room")
	x[0].emit(to(), "x all")
	y[0].emit(to("r"), "y room")
	y[0].emit(to(), "y all")
	x[1].received(kx, "x room", "x all")
	y[1].received(ky, "y room", "y all")
	got, err := ask(patient(t), x[0], &adapter.Message{Kind: adapter.Fetch})
	if err != nil || count(got) != 1 {
		t.Errorf("%d sockets, %v", count(got), err)
	}
}

// openOnce: nodes that do not have the namespace answer all the same.
func (u *suite) openOnce(t *testing.T, nodes []adapter.Factory) {
	s := u.open(t, nodes[:1], "/once")
	got, err := ask(patient(t), s[0], &adapter.Message{Kind: adapter.Fetch})
	if err != nil || count(got) != 0 {
		t.Errorf("got %v, %v", got, err)
	}
}

func (u *suite) closing(t *testing.T, nodes []adapter.Factory) {
	s := u.open(t, nodes, "/close")
	k := s[1].connect("r")
	s[2].connect("r")
	if err := s[2].a.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s[2].a.Close(); err != nil {
		t.Errorf("second close: %v", err)
	}
	s[2].a.Leave("r")
	if err := s[2].a.Publish(&adapter.Message{Kind: adapter.Broadcast}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("publish after close: %v", err)
	}
	if err := s[2].a.Join(t.Context(), "r2"); !errors.Is(err, net.ErrClosed) {
		t.Errorf("join after close: %v", err)
	}
	if _, err := ask(t.Context(), s[2], &adapter.Message{Kind: adapter.Fetch}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("request after close: %v", err)
	}
	s[0].emit(to("r"), "others go on")
	s[1].received(k, "others go on")
	if got, err := ask(patient(t), s[0], &adapter.Message{Kind: adapter.Fetch}); err != nil || count(got) != 1 {
		t.Errorf("%d sockets, %v", count(got), err)
	}
	again := u.open(t, nodes[2:3], "/close")
	k2 := again[0].connect("r")
	s[0].emit(to("r"), "and again")
	again[0].received(k2, "and again")
	s[2].mu.Lock()
	defer s[2].mu.Unlock()
	if len(s[2].handled) != 0 {
		t.Errorf("the closed side was called")
	}
}

// lone is what holds for a node without others.
func (u *suite) lone(t *testing.T) {
	s := u.open(t, u.start(t, 1), "/")[0]
	k := s.connect("r")
	s.emit(to("r"), "to the room")
	s.emit(to(k.id), "to the socket")
	s.emit(to(), "to all")
	s.received(k, "to the room", "to the socket", "to all")
	for _, kind := range []adapter.Kind{adapter.Fetch, adapter.Broadcast, adapter.Join, adapter.Leave, adapter.Disconnect, adapter.ServerSideEmit} {
		if got, err := ask(patient(t), s, &adapter.Message{Kind: kind}); err != nil || len(got) != 0 {
			t.Errorf("%v: got %v, %v", kind, got, err)
		}
	}
	s.leave(k, "r")
	s.leave(k, "never joined")
	if err := s.a.Close(); err != nil {
		t.Error(err)
	}
	if err := s.a.Close(); err != nil {
		t.Errorf("second close: %v", err)
	}
}
