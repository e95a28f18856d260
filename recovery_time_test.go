package socketeer_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/socketeer-io/socketeer"
	"github.com/socketeer-io/socketeer/adapter"
	"github.com/socketeer-io/socketeer/protocol/eio"
)

// called is a client on polling, by calls of the handler: no network, so that
// time can be made up.
type called struct {
	t      *testing.T
	srv    *socketeer.Server
	target string
}

func call(t *testing.T, srv *socketeer.Server) *called {
	c := &called{t: t, srv: srv, target: "/socket.io/?EIO=4&transport=polling"}
	h, err := eio.ParseHandshake([]byte(c.do(http.MethodGet, "")[1:]))
	must(t, err)
	c.target += "&sid=" + h.SID
	return c
}

func (c *called) do(method, body string) string {
	c.t.Helper()
	w := httptest.NewRecorder()
	c.srv.ServeHTTP(w, httptest.NewRequestWithContext(context.Background(), method, c.target, strings.NewReader(body)))
	if w.Code != http.StatusOK {
		c.t.Fatalf("%s: %d %s", method, w.Code, w.Body)
	}
	return w.Body.String()
}

// connect returns what the server confirms, and with what it has to say before.
func (c *called) connect(pid, offset string) (sid, newPID, before string) {
	c.t.Helper()
	c.do(http.MethodPost, `40{"pid":"`+pid+`","offset":"`+offset+`"}`)
	before, said, _ := strings.Cut(c.do(http.MethodGet, ""), "40{")
	var body struct{ SID, PID string }
	if err := json.Unmarshal([]byte("{"+said), &body); err != nil {
		c.t.Fatalf("%q: %v", said, err)
	}
	return body.SID, body.PID, before
}

// offset takes an event, and returns its offset.
func (c *called) offset() string {
	c.t.Helper()
	var args []string
	if err := json.Unmarshal([]byte(c.do(http.MethodGet, "")[2:]), &args); err != nil {
		c.t.Fatal(err)
	}
	return args[len(args)-1]
}

func TestRecoveryExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, err := socketeer.NewServer(socketeer.WithTransports("polling"), socketeer.WithPingInterval(time.Hour),
			socketeer.WithRecovery(socketeer.Recovery{MaxDisconnection: 10 * time.Second}))
		must(t, err)
		defer func() { must(t, srv.Close()) }()

		c := call(t, srv)
		sid, pid, _ := c.connect("", "")
		must(t, srv.Emit("e"))
		offset := c.offset()

		// While it is there its session does not grow old.
		<-time.After(time.Minute)
		c = call(t, srv)
		if again, _, _ := c.connect(pid, offset); again != sid {
			t.Error("a session was forgotten whose client was there")
		}

		// Away for less.
		s, ok := srv.Socket(sid)
		if !ok {
			t.Fatal("no socket")
		}
		s.Conn().Close()
		<-time.After(9 * time.Second)
		must(t, srv.Emit("missed"))
		c = call(t, srv)
		again, _, before := c.connect(pid, offset)
		if again != sid || !strings.HasPrefix(before, `42["missed",`) {
			t.Errorf("away for less than the limit: %q, missed %q", again, before)
		}

		// Away for longer.
		s, _ = srv.Socket(sid)
		s.Conn().Close()
		<-time.After(time.Second)
		must(t, s.Emit("kept"))
		<-time.After(10 * time.Second)
		if err := s.Emit("not"); err == nil {
			t.Error("what is sent to a client that cannot come back is no error")
		}
		c = call(t, srv)
		if again, newPID, _ := c.connect(pid, offset); again == sid || newPID == pid {
			t.Error("away for longer than the limit: recovered")
		}
		if failed := srv.RecoveryStats().Failed; len(failed) != 1 {
			t.Errorf("failed: %v", failed)
		}
	})
}

// slowToJoin is a cluster that takes its time to learn of rooms.
type slowToJoin struct {
	adapter.Memory
	takes atomic.Int64 // time.Duration
}

type slowSpace struct {
	adapter.Adapter
	adapter.Log
	takes *atomic.Int64
}

func (f *slowToJoin) Open(ctx context.Context, nsp string, local adapter.Local) (adapter.Adapter, error) {
	a, err := f.Memory.Open(ctx, nsp, local)
	if err != nil {
		return nil, err
	}
	return slowSpace{a, a.(adapter.Log), &f.takes}, nil
}

func (a slowSpace) Join(ctx context.Context, _ string) error {
	select {
	case <-time.After(time.Duration(a.takes.Load())):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// The node that a client was on has just died: until that is known, it is asked
// about the rooms, which takes longer than a request may otherwise.
func TestRecoveryWaitsForTheDead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &slowToJoin{}
		srv, err := socketeer.NewServer(socketeer.WithTransports("polling"), socketeer.WithPingInterval(time.Hour),
			socketeer.WithAdapter(f), socketeer.WithRecovery(socketeer.Recovery{}))
		must(t, err)
		defer func() { must(t, srv.Close()) }()
		srv.OnConnect(func(ctx context.Context, s *socketeer.Socket) error { return s.Join(ctx, "r") })
		c := call(t, srv)
		sid, pid, _ := c.connect("", "")
		synctest.Wait()
		must(t, srv.Emit("e"))
		offset := c.offset()
		s, ok := srv.Socket(sid)
		if !ok {
			t.Fatal("no socket")
		}
		s.Conn().Close()
		f.takes.Store(int64(7 * time.Second))
		c = call(t, srv)
		if again, _, _ := c.connect(pid, offset); again != sid {
			t.Errorf("it has not recovered: %+v", srv.RecoveryStats())
		}
	})
}

// A namespace that was made for clients stays as long as one of them may come
// back.
func TestRecoveryKeepsNamespace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, err := socketeer.NewServer(socketeer.WithTransports("polling"), socketeer.WithPingInterval(time.Hour), socketeer.WithCleanupEmptyChildNamespaces(),
			socketeer.WithRecovery(socketeer.Recovery{MaxDisconnection: 10 * time.Second}))
		must(t, err)
		defer func() { must(t, srv.Close()) }()
		srv.OfFunc(func(context.Context, string, json.RawMessage) (bool, error) { return true, nil })
		exists := func() bool {
			for n := range srv.Namespaces() {
				if n.Name() == "/dyn" {
					return true
				}
			}
			return false
		}
		c := call(t, srv)
		c.do(http.MethodPost, "40/dyn,")
		c.do(http.MethodGet, "")
		for s := range srv.Of("/dyn").Sockets() {
			s.Conn().Close()
		}
		<-time.After(9 * time.Second)
		if !exists() {
			t.Error("the namespace went too early")
		}
		<-time.After(2 * time.Second)
		if exists() {
			t.Error("the namespace stays")
		}
	})
}
