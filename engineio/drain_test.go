package engineio_test

import (
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
