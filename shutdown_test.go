package socketeer_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"go.uber.org/goleak"

	"github.com/socketeer-io/socketeer"
)

func TestShutdownIsPaced(t *testing.T) {
	const clients = 10
	n := start(t, socketeer.WithShutdownRate(0))
	ends := make(chan time.Time, clients)
	n.OnConnect(func(_ context.Context, s *sock) error {
		s.OnDisconnect(func(_ context.Context, reason string) {
			if reason != "server shutting down" {
				t.Errorf("reason %q", reason)
			}
			ends <- time.Now()
		})
		return nil
	})
	for range clients {
		client(t, n, "/")
	}
	until(t, "all are there", func() bool { return n.Len() == clients })
	c, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	began := time.Now()
	done := make(chan error, 1)
	go func() { done <- n.Shutdown(c) }()
	var after []time.Duration
	for range clients {
		after = append(after, recv(t, "a disconnect", ends).Sub(began))
	}
	must(t, recv(t, "the end of Shutdown", done))
	slices.Sort(after)
	// Evenly over 0.9 s: one client in each tenth. A busy machine may be late,
	// never early.
	for i, d := range after {
		if due := time.Duration(i) * 90 * time.Millisecond; d < due {
			t.Errorf("client %d was closed after %v, not before %v", i, d, due)
		}
	}
	if status, _ := get(t, n.url+"/socket.io/?EIO=4&transport=polling", nil); status != http.StatusServiceUnavailable {
		t.Errorf("a new session after Shutdown: %d", status)
	}
}

func TestShutdownRate(t *testing.T) {
	const clients = 30
	n := start(t, socketeer.WithShutdownRate(100))
	for range clients {
		client(t, n, "/")
	}
	c, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	began := time.Now()
	done := make(chan error, 1)
	go func() { done <- n.Shutdown(c) }()
	must(t, recv(t, "the end of Shutdown", done))
	if d := time.Since(began); d < (clients-1)*10*time.Millisecond {
		t.Errorf("%d clients were closed within %v", clients, d)
	}
}

// Who is on polling is closed first, and told; nobody needs the listener then,
// though WebSockets are left.
func TestShutdownLeavesHTTP(t *testing.T) {
	n := start(t, socketeer.WithShutdownRate(0))
	polling := n.url + "/socket.io/?EIO=4&transport=polling"
	for range 3 {
		client(t, n, "/")
	}
	status, hello := get(t, polling, nil)
	_, rest, ok := strings.Cut(hello, `"sid":"`)
	sid, _, _ := strings.Cut(rest, `"`)
	if status != http.StatusOK || !ok {
		t.Fatalf("%d %s", status, hello)
	}
	c, cancel := context.WithTimeoutCause(t.Context(), time.Hour, errors.New("too late"))
	why := errors.New("seen enough")
	stop, cut := context.WithCancelCause(c)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- n.Shutdown(stop) }()
	until(t, "new sessions are refused", func() bool {
		status, body := get(t, polling, nil)
		return status == http.StatusServiceUnavailable && strings.Contains(body, "Server is shutting down")
	})
	select {
	case <-n.HTTPDone():
		t.Error("a client on polling has not been told")
	default:
	}
	if status, body := get(t, polling+"&sid="+sid, nil); status != http.StatusOK || body != "1" {
		t.Errorf("the last poll: %d %s", status, body)
	}
	recv(t, "the end of HTTP", n.HTTPDone())
	if left := n.Engine().Count(); left != 3 {
		t.Errorf("%d clients are left", left)
	}
	cut(why)
	if err := recv(t, "the end of Shutdown", done); !errors.Is(err, why) {
		t.Errorf("error %v", err)
	}
}

func TestCloseLeavesHTTP(t *testing.T) {
	n := start(t)
	client(t, n, "/")
	must(t, n.Close())
	recv(t, "the end of HTTP", n.HTTPDone())
}

func TestShutdownIsCutShort(t *testing.T) {
	n := start(t)
	for range 3 {
		client(t, n, "/")
	}
	c, cancel := context.WithCancelCause(t.Context())
	why := errors.New("hurry")
	done := make(chan error, 1)
	go func() { done <- n.Shutdown(c) }()
	until(t, "it refuses new sessions", func() bool {
		status, _ := get(t, n.url+"/socket.io/?EIO=4&transport=polling", nil)
		return status == http.StatusServiceUnavailable
	})
	cancel(why)
	if err := recv(t, "the end of Shutdown", done); !errors.Is(err, why) {
		t.Errorf("error %v", err)
	}
	if n.Engine().Count() != 0 {
		t.Errorf("%d connections", n.Engine().Count())
	}
	// What is cut short does not wait for those who clean up.
	until(t, "all sockets are gone", func() bool { return n.Len() == 0 })
}

func TestShutdownOfAnIdleServer(t *testing.T) {
	n := start(t)
	must(t, n.Shutdown(t.Context()))
	must(t, n.Shutdown(t.Context()))
}

func TestCloseWaitsForHandlers(t *testing.T) {
	n := start(t)
	entered := make(chan struct{})
	finished := make(chan struct{})
	n.On("slow", func(ctx context.Context, m *msg) error {
		close(entered)
		<-ctx.Done()
		if _, err := m.Socket().EmitWithAck(context.Background(), "x"); !errors.Is(err, socketeer.ErrDisconnected) {
			t.Errorf("EmitWithAck: %v", err)
		}
		close(finished)
		return nil
	})
	c := client(t, n, "/")
	c.emit("slow")
	recv(t, "the handler", entered)
	must(t, n.Close())
	select {
	case <-finished:
	default:
		t.Error("Close did not wait for the handler")
	}
}

func TestClose(t *testing.T) {
	n := startCluster(t, 2)[0]
	other := n.Of("/other")
	for range 5 {
		p := dial(t, n.url)
		p.join("/")
		p.join("/other")
		dial(t, n.url) // joins nothing
	}
	done := make(chan error, 3)
	for range 3 {
		go func() { done <- n.Close() }()
	}
	for range 3 {
		must(t, recv(t, "Close", done))
	}
	must(t, n.Close())
	must(t, n.Shutdown(ctx(t)))
	if n.Len() != 0 || other.Len() != 0 || n.Engine().Count() != 0 {
		t.Errorf("%d and %d sockets, %d connections", n.Len(), other.Len(), n.Engine().Count())
	}
	// Nothing panics or waits on a closed server.
	_ = n.Emit("event")
	_ = n.ServerSideEmit("event")
	for _, err := range n.All().Sockets(ctx(t)) {
		if err == nil {
			t.Error("a socket of a closed server")
		}
	}
	if got := n.Of("/late"); got.Name() != "/late" || got.Emit("event") == nil {
		t.Error("a namespace of a closed server works")
	}
	if _, err := n.Open(ctx(t), "/late"); !errors.Is(err, socketeer.ErrServerClosed) {
		t.Errorf("Open: %v", err)
	}
}

func TestCloseLeavesNoGoroutine(t *testing.T) {
	ignore := goleak.IgnoreCurrent()
	n := start(t)
	web := goleak.IgnoreAnyFunction("net/http.(*Server).Serve") // closed with the test
	n.On("event", func(ctx context.Context, _ *msg) error { <-ctx.Done(); return nil })
	n.On("ok", answer())
	var peers []*peer
	for range 20 {
		c := client(t, n, "/")
		c.ask("ok")
		c.emit("event")
		peers = append(peers, c.peer)
	}
	must(t, n.Close())
	for _, p := range peers {
		p.cut()
	}
	if err := goleak.Find(ignore, web); err != nil {
		t.Error(err)
	}
}

func TestClientFiles(t *testing.T) {
	const js = "/* the client */"
	n := start(t, socketeer.WithClient(fstest.MapFS{
		"socket.io.min.js":     {Data: []byte(js)},
		"socket.io.min.js.map": {Data: []byte("{}")},
		"secret.js":            {Data: []byte("secret")},
	}))
	url := n.url + "/socket.io/socket.io.min.js"
	type response struct {
		status int
		header http.Header
		length int64
	}
	fetch := func(url string, header http.Header) response {
		t.Helper()
		req, err := http.NewRequestWithContext(ctx(t), http.MethodGet, url, nil)
		must(t, err)
		req.Header = header
		client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		resp, err := client.Do(req)
		must(t, err)
		must(t, resp.Body.Close())
		return response{resp.StatusCode, resp.Header, resp.ContentLength}
	}
	first := fetch(url, http.Header{})
	etag := first.header.Get("ETag")
	if first.status != http.StatusOK || etag == "" || first.length != int64(len(js)) {
		t.Errorf("%d, etag %q, %d bytes", first.status, etag, first.length)
	}
	if got := first.header.Get("Content-Type"); got != "application/javascript; charset=utf-8" {
		t.Errorf("type %q", got)
	}
	for _, match := range []string{etag, "W/" + etag, `"x", ` + etag} {
		if again := fetch(url, http.Header{"If-None-Match": {match}}); again.status != http.StatusNotModified {
			t.Errorf("If-None-Match %s: %d", match, again.status)
		}
	}
	if other := fetch(url, http.Header{"If-None-Match": {`"other"`}}); other.status != http.StatusOK {
		t.Errorf("another etag: %d", other.status)
	}
	if _, body := get(t, url, nil); body != js {
		t.Errorf("got %q", body)
	}
	if m := fetch(url+".map", http.Header{}); m.status != 200 || m.header.Get("Content-Type") != "application/json" {
		t.Errorf("map: %d, %s", m.status, m.header.Get("Content-Type"))
	}
	for _, name := range []string{"socket.io.js", "secret.js", "../secret.js", ""} {
		if resp := fetch(n.url+"/socket.io/"+name, http.Header{}); resp.status == http.StatusOK {
			t.Errorf("%q is served", name)
		}
	}
	if status, _ := get(t, start(t).url+"/socket.io/socket.io.min.js", nil); status == http.StatusOK {
		t.Error("the client is served without WithClient")
	}
	if status, _ := get(t, n.url+"/elsewhere", nil); status != http.StatusNotFound {
		t.Errorf("outside of the path: %d", status)
	}
}
