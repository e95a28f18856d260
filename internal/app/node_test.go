package app_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/socketeer-io/socketeer/internal/app"
	"github.com/socketeer-io/socketeer/internal/app/config"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// settings are those of a node on free ports.
func settings(t *testing.T, changes ...func(*config.Config)) config.Config {
	t.Helper()
	cfg, err := config.Load(config.Sources{Defaults: map[string]string{
		"name": "node-1", "addr": "127.0.0.1:0", "admin-addr": "127.0.0.1:0", "drain": "1s",
	}})
	if err != nil {
		t.Fatal(err)
	}
	for _, change := range changes {
		change(&cfg)
	}
	return cfg
}

func start(t *testing.T, cfg config.Config) *app.Node {
	t.Helper()
	n, err := app.Start(t.Context(), cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, n) })
	return n
}

func stop(t *testing.T, n *app.Node) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := n.Stop(ctx); err != nil {
		t.Error(err)
	}
}

// get returns status, headers and body of what is at url.
func get(t *testing.T, url string, headers ...string) (int, http.Header, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			req.Host = headers[i+1]
		}
		req.Header.Set(headers[i], headers[i+1])
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(body)
}

// eventually waits until check returns "", or fails with what it returned.
func eventually(t *testing.T, check func() string) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		problem := check()
		if problem == "" {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal(problem)
		}
	}
}

type nodesAnswer struct {
	Nodes []struct {
		Name, Incarnation, Tag, Address, State string
		Connections, Sockets                   int
		Started                                time.Time
		LastSeen                               time.Time `json:"last_seen"`
		Self                                   bool
	}
}

func nodes(t *testing.T, n *app.Node) nodesAnswer {
	t.Helper()
	_, _, body := get(t, "http://"+n.AdminAddr()+"/v1/nodes")
	var a nodesAnswer
	if err := json.Unmarshal([]byte(body), &a); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	return a
}

func TestOperatorsListener(t *testing.T) {
	n := start(t, settings(t))
	for path, want := range map[string]string{
		"/healthz": `"ok"`, "/readyz": `"ready"`, "/v1/nodes": `"node-1"`,
	} {
		status, _, body := get(t, "http://"+n.AdminAddr()+path)
		if status != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%s: %d %s", path, status, body)
		}
		if status, _, _ := get(t, "http://"+n.Addr()+path); status != http.StatusNotFound {
			t.Errorf("%s on the public listener: %d", path, status)
		}
	}
	if status, _, _ := get(t, "http://"+n.AdminAddr()+"/debug/pprof/"); status != http.StatusNotFound {
		t.Errorf("pprof that nobody asked for: %d", status)
	}

	_, _, open := get(t, "http://"+n.Addr()+"/socket.io/?EIO=4&transport=polling")
	a := nodes(t, n)
	if len(a.Nodes) != 1 {
		t.Fatalf("got %+v", a)
	}
	self := a.Nodes[0]
	if !self.Self || self.Address != n.Addr() || self.State != "ready" || self.Connections != 1 || self.Incarnation == "" ||
		self.Started.IsZero() || self.LastSeen.Before(self.Started) {
		t.Errorf("got %+v", self)
	}
	if !strings.Contains(open, `"sid":"`+self.Tag) {
		t.Errorf("session %s is not of tag %s", open, self.Tag)
	}
}

func TestPprofWhenAsked(t *testing.T) {
	n := start(t, settings(t, func(c *config.Config) { c.Pprof = true }))
	if status, _, _ := get(t, "http://"+n.AdminAddr()+"/debug/pprof/"); status != http.StatusOK {
		t.Errorf("got %d", status)
	}
	if status, _, _ := get(t, "http://"+n.Addr()+"/debug/pprof/"); status != http.StatusNotFound {
		t.Errorf("pprof on the public listener: %d", status)
	}
}

// A client keeps the node draining for as long as the stop may take.
func TestNotReadyWhileDraining(t *testing.T) {
	n := start(t, settings(t))
	for range 3 {
		get(t, "http://"+n.Addr()+"/socket.io/?EIO=4&transport=polling")
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	stopped := make(chan error, 1)
	go func() { stopped <- n.Stop(ctx) }()
	eventually(t, func() string {
		status, _, body := get(t, "http://"+n.AdminAddr()+"/readyz")
		if status != http.StatusServiceUnavailable || !strings.Contains(body, `"reason": "draining"`) {
			return fmt.Sprintf("got %d %s", status, body)
		}
		return ""
	})
	if state := nodes(t, n).Nodes[0].State; state != "draining" {
		t.Errorf("state %q", state)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

// While load balancers get to know, everything goes on.
func TestDrainDelay(t *testing.T) {
	n := start(t, settings(t, func(c *config.Config) { c.DrainDelay = time.Hour }))
	why := errors.New("long enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	stopped := make(chan error, 1)
	go func() { stopped <- n.Stop(ctx) }()
	eventually(t, func() string {
		if status, _, _ := get(t, "http://"+n.AdminAddr()+"/readyz"); status != http.StatusServiceUnavailable {
			return fmt.Sprintf("got %d", status)
		}
		return ""
	})
	if status, _, body := get(t, "http://"+n.Addr()+"/socket.io/?EIO=4&transport=polling"); status != http.StatusOK {
		t.Errorf("a new session: %d %s", status, body)
	}
	cancel(why)
	if err := <-stopped; !errors.Is(err, why) {
		t.Errorf("got %v", err)
	}
}

// As soon as only WebSockets are left, new connections are refused.
func TestListenerGoesFirst(t *testing.T) {
	n := start(t, settings(t, func(c *config.Config) { c.DrainRate = 0 }))
	for range 2 {
		conn, err := net.Dial("tcp", n.Addr())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := fmt.Fprint(conn, "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n"+
			"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
	}
	deadline, release := context.WithTimeout(t.Context(), time.Hour)
	defer release()
	ctx, cancel := context.WithCancel(deadline)
	stopped := make(chan error, 1)
	go func() { stopped <- n.Stop(ctx) }()
	eventually(t, func() string {
		conn, err := net.Dial("tcp", n.Addr())
		if err == nil {
			conn.Close()
			return "it still listens"
		}
		return ""
	})
	if got := nodes(t, n).Nodes[0]; got.State != "draining" || got.Connections == 0 {
		t.Errorf("got %+v", got)
	}
	cancel()
	if err := <-stopped; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestStartErrors(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := free.Addr().String()
	if err := free.Close(); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		change func(*config.Config)
		want   []string
	}{
		"port in use":         {func(c *config.Config) { c.Addr = taken.Addr().String() }, []string{"addr " + taken.Addr().String(), "in use"}},
		"admin port in use":   {func(c *config.Config) { c.AdminAddr = taken.Addr().String() }, []string{"admin-addr", "in use"}},
		"foreign address":     {func(c *config.Config) { c.Addr = "192.0.2.1:0" }, []string{"cannot listen on addr 192.0.2.1:0"}},
		"cluster port in use": {func(c *config.Config) { clustered(c, taken.Addr().String()) }, []string{taken.Addr().String()}},
		"no NATS server":      {func(c *config.Config) { c.Cluster.Adapter, c.Cluster.NATS = "nats", "nats://"+nobody }, []string{nobody}},
		"no peer": {func(c *config.Config) {
			clustered(c, "127.0.0.1:0", nobody)
			c.Cluster.Wait = 50 * time.Millisecond
		}, []string{"no node answers at " + nobody, "50ms"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := app.Start(t.Context(), settings(t, tc.change), slog.New(slog.DiscardHandler))
			if err == nil {
				t.Fatal("it started")
			}
			for _, want := range append(tc.want, "socketeer: ") {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q lacks %q", err, want)
				}
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("%q has more than one line", err)
			}
		})
	}
}

func clustered(c *config.Config, addr string, peers ...string) {
	c.Cluster.Adapter, c.Cluster.Addr, c.Cluster.Peers = config.AdapterNATS, addr, peers
}

// freeAddr is an address that is free now.
func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// pair starts two nodes of one cluster.
func pair(t *testing.T, changes ...func(*config.Config)) [2]*app.Node {
	t.Helper()
	addr := freeAddr(t)
	first := settings(t, changes...)
	clustered(&first, addr)
	second := settings(t, changes...)
	second.Name = "node-2"
	clustered(&second, "127.0.0.1:0", addr)
	both := [2]*app.Node{start(t, first), start(t, second)}
	eventually(t, func() string {
		if a := nodes(t, both[0]); len(a.Nodes) != 2 {
			return fmt.Sprintf("got %+v", a)
		}
		return ""
	})
	return both
}

func TestNeighbours(t *testing.T) {
	both := pair(t)
	_, port0, _ := net.SplitHostPort(both[0].Addr())
	_, port1, _ := net.SplitHostPort(both[1].Addr())
	url := "http://" + both[0].Addr()

	_, _, body := get(t, url+"/nodes.json", "Host", "phone.example:"+port0)
	for _, want := range []string{"http://phone.example:" + port0, "http://phone.example:" + port1, `"node":"node-1"`} {
		if !strings.Contains(body, want) {
			t.Errorf("%s lacks %s", body, want)
		}
	}
	if _, _, body := get(t, url+"/nodes.json", "Host", "chat.example"); strings.Contains(body, port1) {
		t.Errorf("told a gateway: %s", body)
	}

	for origin, want := range map[string]bool{
		"http://localhost:" + port1:  true,
		"http://localhost:1":         false,
		"http://evil.example":        false,
		"http://127.0.0.1:" + port1:  false, // asked as localhost
		"https://localhost:" + port1: false,
		"null":                       false,
	} {
		for _, path := range []string{"/nodes.json", "/socket.io/?EIO=4&transport=polling"} {
			_, h, _ := get(t, url+path, "Origin", origin, "Host", "localhost:"+port0)
			if got := h.Get("Access-Control-Allow-Origin") != ""; got != want {
				t.Errorf("%s for %s: allowed: %t", path, origin, got)
			}
		}
	}
}

func TestConfiguredOrigins(t *testing.T) {
	for origins, credentials := range map[string]string{"https://app.example": "true", "*": ""} {
		n := start(t, settings(t, func(c *config.Config) { c.Engine.CORSOrigins = []string{origins} }))
		_, h, _ := get(t, "http://"+n.Addr()+"/socket.io/?EIO=4&transport=polling", "Origin", "https://app.example")
		if h.Get("Access-Control-Allow-Origin") != "https://app.example" || h.Get("Access-Control-Allow-Credentials") != credentials {
			t.Errorf("%s: got %v", origins, h)
		}
	}
}

func TestPage(t *testing.T) {
	n := start(t, settings(t, func(c *config.Config) { c.Engine.Path = "/rt/" }))
	status, h, body := get(t, "http://"+n.Addr()+"/")
	if status != http.StatusOK || !strings.Contains(body, `src="/rt/socket.io.min.js"`) {
		t.Errorf("got %d %.200s", status, body)
	}
	policy := h.Get("Content-Security-Policy")
	if !strings.Contains(policy, "default-src 'self'") || !strings.Contains(policy, "connect-src 'self' http://127.0.0.1:*") {
		t.Errorf("policy %q", policy)
	}
	if _, h, _ := get(t, "http://"+n.Addr()+"/", "Host", "a;script-src *"); strings.Contains(h.Get("Content-Security-Policy"), "script-src") {
		t.Error("the host name got into the policy")
	}
	for _, id := range []string{
		"name-input", "join-button", "room-name", "messages", "message-input", "send-button", "members", "node-name", "status",
	} {
		if !strings.Contains(body, `id="`+id+`"`) {
			t.Errorf("the page has no #%s", id)
		}
	}
	for _, file := range []string{"chat.js", "connection.js", "view.js", "theme.js", "chat.css", "icon.svg"} {
		if status, h, _ := get(t, "http://"+n.Addr()+"/"+file); status != http.StatusOK || h.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %d %v", file, status, h)
		}
	}
	if status, _, body := get(t, "http://"+n.Addr()+"/rt/socket.io.js"); status != http.StatusOK && !strings.Contains(body, "make build") {
		t.Errorf("client: %d %s", status, body)
	}
}
