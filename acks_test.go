package socketeer_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/socketeer-io/socketeer"
)

// answers is what an EmitWithAck to many returned.
type answers struct {
	replies []socketeer.Reply
	err     error
}

// texts returns the replies as "node text" of their first arguments, sorted.
func (a answers) texts(t *testing.T) []string {
	t.Helper()
	var list []string
	for _, r := range a.replies {
		var text string
		must(t, r.Decode(&text))
		list = append(list, text)
	}
	slices.Sort(list)
	return list
}

func askAll(t *testing.T, b socketeer.Broadcast, c context.Context, event string, args ...any) <-chan answers {
	t.Helper()
	done := make(chan answers, 1)
	go func() {
		replies, err := b.EmitWithAck(c, event, args...)
		done <- answers{replies, err}
	}()
	return done
}

func TestAcks(t *testing.T) {
	n := start(t)
	late := make(chan *msg, 1)
	n.On("now", answer(1, "two", nil))
	n.On("empty", answer())
	n.On("late", func(_ context.Context, m *msg) error { late <- m; return nil })
	n.On("fails after", func(_ context.Context, m *msg) error { return errors.Join(m.Ack("fine"), errors.New("x")) })
	c := client(t, n, "/")
	if got := fmt.Sprint(c.ask("now")); got != "[1 two <nil>]" {
		t.Error(got)
	}
	if got := c.ask("empty"); len(got) != 0 {
		t.Error(got)
	}
	if got := fmt.Sprint(c.ask("fails after")); got != "[fine]" {
		t.Error(got)
	}
	result := make(chan []any, 1)
	go func() { result <- c.ask("late") }()
	m := recv(t, "the event", late)
	if !m.WantsAck() {
		t.Error("WantsAck is false")
	}
	if err := m.Ack(make(chan int)); err == nil || !m.WantsAck() {
		t.Errorf("an acknowledgement that cannot be encoded: %v", err)
	}
	must(t, m.Ack("later"))
	if err := m.Ack("again"); !errors.Is(err, socketeer.ErrAcknowledged) || m.WantsAck() {
		t.Errorf("second acknowledgement: %v", err)
	}
	if got := recv(t, "the acknowledgement", result); got[0] != "later" {
		t.Error(got)
	}
	c.emit("late")
	m = recv(t, "the event", late)
	if m.WantsAck() {
		t.Error("WantsAck is true")
	}
}

func TestEmitWithAckToOne(t *testing.T) {
	n := start(t)
	c := client(t, n, "/")
	s := n.socket(t, c)
	type result struct {
		reply *socketeer.Reply
		err   error
	}
	ask := func(ctx context.Context, event string) <-chan result {
		done := make(chan result, 1)
		go func() {
			r, err := s.EmitWithAck(ctx, event)
			done <- result{r, err}
		}()
		return done
	}
	// Answers may come in any order, and belong to their questions.
	one, first := ask(ctx(t), "one"), c.next()
	two, second := ask(ctx(t), "two"), c.next()
	c.reply(second, "second", 2)
	c.reply(first, "first", 1)
	for want, r := range map[string]<-chan result{"first": one, "second": two} {
		got := recv(t, want, r)
		must(t, got.err)
		var text string
		must(t, got.reply.Decode(&text))
		if text != want || got.reply.SID != c.id || got.reply.Node != "" {
			t.Errorf("%s: got %q from %q", want, text, got.reply.SID)
		}
		var missing string
		if err := got.reply.Decode(nil, nil, &missing); !errors.Is(err, socketeer.ErrNoSuchArgument) {
			t.Errorf("third argument: %v", err)
		}
		if data := string(got.reply.Data()); data != `["first",1]` && data != `["second",2]` {
			t.Errorf("data %s", data)
		}
	}
	// Too late, twice, or for nobody: ignored.
	short, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	late := ask(short, "late")
	question := c.next()
	if err := recv(t, "the timeout", late).err; !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("timeout: %v", err)
	}
	c.reply(question, "too late")
	c.reply(first, "again")
	c.raw(`439999["nobody asked"]`)
	cancelled, cancelIt := context.WithCancelCause(t.Context())
	why := errors.New("changed my mind")
	gone := ask(cancelled, "cancelled")
	c.next()
	cancelIt(why)
	if err := recv(t, "the cancellation", gone).err; !errors.Is(err, why) {
		t.Errorf("cancelled: %v", err)
	}
	open := ask(context.Background(), "open")
	c.expect("open")
	c.cut()
	if err := recv(t, "the disconnect", open).err; !errors.Is(err, socketeer.ErrDisconnected) {
		t.Errorf("disconnected: %v", err)
	}
}

func TestEmitWithAckInAHandler(t *testing.T) {
	n := start(t)
	n.On("outer", func(ctx context.Context, m *msg) error {
		reply, err := m.Socket().EmitWithAck(ctx, "inner")
		if err != nil {
			return err
		}
		var v int
		if err := reply.Decode(&v); err != nil {
			return err
		}
		all, err := m.Socket().Namespace().All().EmitWithAck(ctx, "all")
		if err != nil {
			return err
		}
		return m.Ack(v, len(all))
	})
	c := client(t, n, "/")
	packet := c.event("outer", nil)
	packet.ID, packet.HasID = 7, true
	c.send(packet)
	c.reply(c.expect("inner"), 42)
	c.reply(c.expect("all"))
	if got := fmt.Sprint(decode(t, c.next())); got != "[42 1]" {
		t.Errorf("got %s", got)
	}
}

func TestEmitWithAckToMany(t *testing.T) {
	everywhere(t, func(t *testing.T, nodes []*node) {
		members := crowd(t, nodes)
		for from, n := range nodes {
			done := askAll(t, n.All(), ctx(t), "question", from)
			for i, m := range members {
				m.reply(m.expect("question", from), fmt.Sprint(i), "ignored")
			}
			got := recv(t, "the replies", done)
			must(t, got.err)
			equal(t, "replies", got.texts(t), []string{"0", "1", "2"})
			sids := map[string]string{}
			for _, r := range got.replies {
				var text string
				must(t, r.Decode(&text))
				sids[r.SID] = text
				if local := r.Node == ""; local != (text == fmt.Sprint(from) || len(nodes) == 1) {
					t.Errorf("asked by %d: %s is on node %q", from, text, r.Node)
				}
			}
			for i, m := range members {
				if sids[m.id] != fmt.Sprint(i) {
					t.Errorf("%s answered %q", m.id, sids[m.id])
				}
			}
		}
	})
}

func TestEmitWithAckToNobody(t *testing.T) {
	everywhere(t, func(t *testing.T, nodes []*node) {
		got := recv(t, "the replies", askAll(t, nodes[0].To("nobody"), t.Context(), "question"))
		if got.err != nil || len(got.replies) != 0 {
			t.Errorf("%v, %v", got.replies, got.err)
		}
	})
}

func TestEmitWithAckToOneOfMany(t *testing.T) {
	nodes := startCluster(t, 3)
	members := crowd(t, nodes)
	join(t, nodes, 1, members[1], "room")
	done := askAll(t, nodes[0].To("room"), ctx(t), "question")
	members[1].reply(members[1].expect("question"), "yes")
	got := recv(t, "the reply", done)
	must(t, got.err)
	equal(t, "replies", got.texts(t), []string{"yes"})
	done = askAll(t, nodes[1].Local(), ctx(t), "local")
	members[1].reply(members[1].expect("local"), "yes")
	must(t, recv(t, "the reply", done).err)
}

func TestSomeLeaveWithoutAnAnswer(t *testing.T) {
	everywhere(t, func(t *testing.T, nodes []*node) {
		members := crowd(t, nodes)
		done := askAll(t, nodes[0].All(), ctx(t), "question")
		for _, m := range members {
			m.expect("question")
		}
		members[0].cut()
		members[1].leaveNamespace()
		members[2].emit("something else")
		nodes[2%len(nodes)].socket(t, members[2]).Disconnect(true)
		got := recv(t, "the replies", done)
		var e *socketeer.AckError
		if !errors.As(got.err, &e) || len(got.replies) != 0 {
			t.Fatalf("%v, %v", got.replies, got.err)
		}
		if e.Expected != 3 || e.Received != 0 || len(e.Missing) != 0 || e.Cause != nil || e.Timeout() {
			t.Errorf("%+v", e)
		}
	})
}

func TestSomeDoNotAnswerInTime(t *testing.T) {
	everywhere(t, func(t *testing.T, nodes []*node) {
		members := crowd(t, nodes)
		done := askAll(t, nodes[0].Timeout(300*time.Millisecond), ctx(t), "question")
		members[0].reply(members[0].expect("question"), "0")
		members[1].reply(members[1].expect("question"), "1")
		late := members[2].expect("question")
		got := recv(t, "the replies", done)
		equal(t, "replies", got.texts(t), []string{"0", "1"})
		var e *socketeer.AckError
		if !errors.As(got.err, &e) {
			t.Fatalf("error %v", got.err)
		}
		if e.Expected != 3 || e.Received != 2 || !e.Timeout() || !errors.Is(e, context.DeadlineExceeded) {
			t.Errorf("%+v", e)
		}
		var missing []string
		if len(nodes) > 1 {
			missing = []string{"node-2"}
		}
		equal(t, "missing", e.Missing, missing)
		members[2].reply(late, "too late") // is nobody's, and no violation
		must(t, nodes[0].Emit("next"))
		members[2].expect("next")
	})
}

func TestNodeThatIsCutOffIsMissing(t *testing.T) {
	nodes := startCluster(t, 3)
	members := crowd(t, nodes)
	nodes[2].bus.Cut(true)
	short, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	done := askAll(t, nodes[0].All(), short, "question")
	for i, m := range members[:2] {
		m.reply(m.expect("question"), fmt.Sprint(i))
	}
	got := recv(t, "the replies", done)
	equal(t, "replies", got.texts(t), []string{"0", "1"})
	var e *socketeer.AckError
	if !errors.As(got.err, &e) {
		t.Fatalf("error %v", got.err)
	}
	equal(t, "missing", e.Missing, []string{"node-2"})

	within := func() context.Context {
		c, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		t.Cleanup(cancel)
		return c
	}
	var found int
	var partial *socketeer.PartialError
	for _, err := range nodes[0].All().Sockets(within()) {
		if errors.As(err, &partial) {
			continue
		}
		must(t, err)
		found++
	}
	if found != 2 || partial == nil || !slices.Equal(partial.Missing, []string{"node-2"}) || !partial.Timeout() {
		t.Errorf("%d sockets, %v", found, partial)
	}
	for name, f := range map[string]func(context.Context) error{
		// Node 1 cannot confirm either: the cluster does not know of its new room.
		"Join":  func(c context.Context) error { return nodes[0].All().Join(c, "room") },
		"Leave": func(c context.Context) error { return nodes[0].All().Leave(c, "room") },
		"ServerSideEmitWithAck": func(c context.Context) error {
			_, err := nodes[0].ServerSideEmitWithAck(c, "event")
			return err
		},
	} {
		if err := f(within()); !errors.As(err, &partial) || !slices.Contains(partial.Missing, "node-2") {
			t.Errorf("%s: %v", name, err)
		}
	}
	nodes[2].bus.Cut(false)
}

func TestServerSideEmit(t *testing.T) {
	nodes := startCluster(t, 3)
	var seen list
	for i, n := range nodes {
		n.OnServerSide("fence", answer())
		n.OnServerSide("event", func(_ context.Context, m *msg) error {
			var v int
			if err := m.Decode(&v); err != nil {
				return err
			}
			if m.Socket() != nil {
				t.Error("a server-side event of a socket")
			}
			seen.add(fmt.Sprintf("%d got %d", i, v))
			return nil
		})
		n.Of("/other").OnServerSide("event", func(context.Context, *msg) error {
			seen.add("the wrong namespace")
			return nil
		})
	}
	client(t, nodes[1], "/").emit("event", 9) // clients cannot raise them
	must(t, nodes[0].ServerSideEmit("event", 1))
	if _, err := nodes[0].ServerSideEmitWithAck(ctx(t), "fence"); err != nil {
		t.Fatal(err)
	}
	equal(t, "seen", seen.all(), []string{"1 got 1", "2 got 1"})
	for _, event := range []string{"connect", "connection", "new_namespace"} {
		if err := nodes[0].ServerSideEmit(event); !errors.Is(err, socketeer.ErrReserved) {
			t.Errorf("%s: %v", event, err)
		}
		if _, err := nodes[0].ServerSideEmitWithAck(ctx(t), event); !errors.Is(err, socketeer.ErrReserved) {
			t.Errorf("%s: %v", event, err)
		}
	}
	if err := nodes[0].ServerSideEmit("event", make(chan int)); err == nil {
		t.Error("a channel was emitted")
	}
}

func TestServerSideEmitWithAck(t *testing.T) {
	nodes := startCluster(t, 3)
	for i, n := range nodes {
		n.OnServerSide("load", func(_ context.Context, m *msg) error {
			var data []byte
			if err := m.Decode(&data); err != nil {
				return err
			}
			return m.Ack(fmt.Sprintf("%s from %d", data, i), data)
		})
		n.OnServerSide("fail", func(context.Context, *msg) error {
			if i == 1 {
				panic("oops")
			}
			return &socketeer.Error{Code: "busy", Message: "not now"}
		})
	}
	nodes[2].OnServerSide("partly known", answer("known"))
	off := nodes[1].OnServerSide("partly known", answer("taken back"))
	off()

	replies, err := nodes[0].ServerSideEmitWithAck(ctx(t), "load", []byte("hi"))
	must(t, err)
	equal(t, "replies", answers{replies: replies}.texts(t), []string{"hi from 1", "hi from 2"})
	for _, r := range replies {
		var text string
		var data []byte
		must(t, r.Decode(&text, &data))
		if r.Node != "node-"+text[len(text)-1:] || r.SID != "" || string(data) != "hi" {
			t.Errorf("%q from %s, sid %q, %q", text, r.Node, r.SID, data)
		}
	}
	replies, err = nodes[0].ServerSideEmitWithAck(ctx(t), "partly known")
	must(t, err)
	equal(t, "replies", answers{replies: replies}.texts(t), []string{"known"})
	replies, err = nodes[0].ServerSideEmitWithAck(ctx(t), "fail")
	must(t, err)
	var errs []string
	for _, r := range replies {
		var v struct{ Error struct{ Code string } }
		must(t, r.Decode(&v))
		errs = append(errs, v.Error.Code)
	}
	equal(t, "errors", errs, []string{"busy", "internal"})

	replies, err = start(t).ServerSideEmitWithAck(ctx(t), "alone")
	if err != nil || len(replies) != 0 {
		t.Errorf("alone: %v, %v", replies, err)
	}
}

func TestServerSideEventThatIsNotAnswered(t *testing.T) {
	nodes := startCluster(t, 3)
	nodes[1].OnServerSide("event", func(context.Context, *msg) error { return nil })
	nodes[2].OnServerSide("event", answer("fast"))
	short, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	replies, err := nodes[0].ServerSideEmitWithAck(short, "event")
	var partial *socketeer.PartialError
	if !errors.As(err, &partial) || !slices.Equal(partial.Missing, []string{"node-1"}) {
		t.Errorf("error %v", err)
	}
	equal(t, "replies", answers{replies: replies}.texts(t), []string{"fast"})
}

type (
	say struct {
		Room string `json:"room"`
		Text string `json:"text"`
	}
	user struct {
		Name string `json:"name"`
	}
)

func TestTypedEvents(t *testing.T) {
	n := start(t)
	event := socketeer.NewEvent[say]("say")
	off := event.Handle(n, func(_ context.Context, s *sock, v say) error {
		v.Text += "!"
		return errors.Join(event.Emit(s, v), event.Emit(n, v), event.Emit(n.To(s.ID()), v), event.Emit(s.Volatile(), v))
	})
	c := client(t, n, "/")
	c.emit("say", say{"r", "hi"})
	for range 4 {
		c.expect("say", say{"r", "hi!"})
	}
	got := fmt.Sprint(c.ask("say", 7))
	if want := `[map[error:map[code:bad_argument message:argument does not have the expected form]]]`; got != want {
		t.Errorf("got %s", got)
	}
	if got := c.ask("say"); len(got) != 1 {
		t.Errorf("without an argument: %v", got)
	}
	off()
	done := make(chan string, 1)
	event.Handle(n.socket(t, c), func(_ context.Context, _ *sock, v say) error { done <- v.Text; return nil })
	c.emit(event.Name(), say{"r", "own"})
	if got := recv(t, "the event", done); got != "own" {
		t.Error(got)
	}
}

func TestCalls(t *testing.T) {
	n := start(t)
	rename := socketeer.NewCall[string, user]("rename")
	rename.Handle(n, func(_ context.Context, s *sock, name string) (user, error) {
		switch name {
		case "":
			return user{}, &socketeer.Error{Code: "empty", Message: "give me a name", Data: map[string]int{"min": 1}}
		case "fail":
			return user{}, errors.New("secret")
		case "panic":
			panic("secret")
		}
		s.Set("name", name)
		return user{name}, nil
	})
	c := client(t, n, "/")
	for arg, want := range map[string]string{
		"eve":   `[map[name:eve]]`,
		"":      `[map[error:map[code:empty data:map[min:1] message:give me a name]]]`,
		"fail":  `[map[error:map[code:internal message:internal error]]]`,
		"panic": `[map[error:map[code:internal message:internal error]]]`,
	} {
		if got := fmt.Sprint(c.ask(rename.Name(), arg)); got != want {
			t.Errorf("%q: got %s, want %s", arg, got, want)
		}
	}
	c.emit("rename", "quiet") // nobody wants to know: no acknowledgement
	c.ask("rename", "eve")

	// The other way round.
	s := n.socket(t, c)
	type result struct {
		user user
		err  error
	}
	ask := func(answer any) result {
		t.Helper()
		done := make(chan result, 1)
		go func() {
			u, err := rename.Call(ctx(t), s, "adam")
			done <- result{u, err}
		}()
		c.reply(c.expect("rename", "adam"), answer)
		return recv(t, "the answer", done)
	}
	if r := ask(user{"adam"}); r.err != nil || r.user.Name != "adam" {
		t.Errorf("%+v", r)
	}
	r := ask(map[string]any{"error": map[string]any{"code": "no", "message": "I will not", "data": []int{1}}})
	var e *socketeer.Error
	if !errors.As(r.err, &e) || e.Code != "no" || e.Message != "I will not" || string(e.Data.(json.RawMessage)) != "[1]" {
		t.Errorf("%+v", r)
	}
	if r := ask(7); r.err == nil {
		t.Error("a number decoded into a struct")
	}
	c.cut()
	if _, err := rename.Call(ctx(t), s, "x"); !errors.Is(err, socketeer.ErrDisconnected) {
		t.Errorf("after the disconnect: %v", err)
	}
}
