package engineio_test

import (
	"errors"
	"net/http"
	"testing"

	"github.com/socketeer-io/socketeer/engineio"
)

func TestDrain(t *testing.T) {
	s := start(t, config{})
	p, upgrading, w := s.poll(), s.poll(), s.connect()
	s.Drain()

	// Whoever comes is told so that a load balancer understands, on a connection
	// that brings nobody here again.
	a := s.must("GET", "transport=polling", "")
	a.is(t, http.StatusServiceUnavailable, `{"code":4,"message":"Server is shutting down"}`)
	if !a.last {
		t.Error("the HTTP connection goes on after a refusal")
	}
	if r, body := s.raw().Upgrade("/engine.io/?EIO=4&transport=websocket"); r.StatusCode != http.StatusServiceUnavailable || body != "Server is shutting down" || !r.Close {
		t.Errorf("WebSocket: %d %q %v", r.StatusCode, body, r.Header)
	}
	s.refusal(engineio.Forbidden, "SHUTTING_DOWN")
	s.refusal(engineio.Forbidden, "SHUTTING_DOWN")

	// Who is there goes on, and may change to WebSocket.
	p.post("4hi").is(t, 200, "ok")
	p.expect(t, "text hi")
	w.Text("4hi")
	w.expect(t, "text hi")
	s.upgrade("&sid=" + upgrading.sid)
	if !p.conn.NeedsHTTP() || w.conn.NeedsHTTP() {
		t.Error("polling needs HTTP, and WebSocket does not")
	}

	// The last answer ends the HTTP connection, and no earlier one does.
	if err := p.send("bye"); err != nil {
		t.Fatal(err)
	}
	p.conn.CloseReason(engineio.ServerShutdown)
	a = p.get()
	a.is(t, 200, "4bye")
	if a.last || !p.conn.NeedsHTTP() {
		t.Error("the HTTP connection ends before the session has")
	}
	a = p.get()
	a.is(t, 200, "1")
	if !a.last || p.conn.NeedsHTTP() {
		t.Error("the HTTP connection goes on after the session has ended")
	}
}

// What a client sends until it knows of the end counts.
func TestSendAway(t *testing.T) {
	s := start(t, config{})
	p, w := s.poll(), s.connect()
	for _, c := range []*session{p.session, w.session} {
		if err := c.send("bye"); err != nil {
			t.Fatal(err)
		}
		c.conn.SendAway()
		c.conn.SendAway()
		if err := c.send("too late"); !errors.Is(err, engineio.ErrClosed) {
			t.Errorf("Send: %v", err)
		}
	}
	w.Text("4on its way")
	w.expect(t, "text on its way")
	p.post("4on its way").is(t, 200, "ok")
	p.expect(t, "text on its way")
	for _, c := range []*session{p.session, w.session} {
		select {
		case e := <-c.ended:
			t.Errorf("the session was closed before the client: %+v", e)
		default:
		}
	}
	p.get().is(t, 200, "4bye")
	p.get().is(t, 200, "1")
	if got := w.Message(); got != "4bye" {
		t.Errorf("got %q", got)
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	p.endsAs(t, engineio.ServerShutdown)
	w.endsAs(t, engineio.ServerShutdown)
}

// A client that does not answer is not waited for.
func TestSendAwayOfTheSilent(t *testing.T) {
	s := start(t, config{})
	p, w := s.poll(), s.connect()
	p.conn.SendAway()
	w.conn.SendAway()
	if err := s.Server.Close(t.Context()); err != nil {
		t.Error(err)
	}
	p.endsAs(t, engineio.ServerShutdown)
	w.endsAs(t, engineio.ServerShutdown)
}
