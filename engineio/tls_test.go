package engineio_test

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/socketeer-io/socketeer/engineio"
	"github.com/socketeer-io/socketeer/test/hostile/peer"
)

// secured puts TLS, with a certificate for tests, over a listener.
func secured(t testing.TB, l net.Listener, dial func() (net.Conn, error)) (net.Listener, func() (net.Conn, error)) {
	t.Helper()
	ts := httptest.NewUnstartedServer(http.NotFoundHandler())
	ts.StartTLS()
	cert := ts.TLS.Certificates[0]
	ts.Close()
	return tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{cert}}), func() (net.Conn, error) {
		nc, err := dial()
		if err != nil {
			return nil, err
		}
		return tls.Client(nc, &tls.Config{InsecureSkipVerify: true}), nil // the certificate is made up
	}
}

// Connections with TLS have a goroutine each that reads, and another while
// there is something to write.
func TestTLS(t *testing.T) {
	s := start(t, config{tls: true, handle: func(s *session, data []byte, isBinary bool) error { return s.send(string(data)) }})
	c := s.connect()
	if !c.conn.Request().TLS {
		t.Error("not known to be TLS")
	}
	big := sized(500_000, "big ")
	c.Text("4one", "4"+big, "4two")
	c.Expect("4one", "4"+big, "4two")

	p := s.poll()
	up := p.upgrade("&sid=" + p.sid)
	up.Text("2probe")
	up.Expect("3probe")
	up.Text("5", "4hi")
	up.Expect("4hi")
}

func TestTLSShutdownSaysGoodbye(t *testing.T) {
	s := start(t, config{tls: true})
	c := s.connect()
	for range 10 {
		if err := c.send("last words"); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), peer.Patience)
	defer cancel()
	if err := s.Close(ctx); err != nil {
		t.Error(err)
	}
	c.endsAs(t, engineio.ServerShutdown)
	if e := c.End(); e.Code != 1005 || strings.Join(e.Last, "") != strings.Repeat("4last words", 10) {
		t.Errorf("client saw %v", e)
	}
}

// A client that does not read does not keep the server from closing it.
func TestTLSSlowConsumer(t *testing.T) {
	s := start(t, config{tls: true, Options: engineio.Options{SendBuffer: 1 << 20}})
	c := s.connect()
	m := message(sized(100_000, "x"))
	for range 1000 {
		if err := c.conn.Send(m, 0); err != nil {
			c.endsAs(t, engineio.SlowConsumer)
			return
		}
	}
	t.Error("100 MB fit")
}
