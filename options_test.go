package socketeer_test

import (
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/cors"

	"github.com/socketeer-io/socketeer"
	"github.com/socketeer-io/socketeer/engineio"
)

func TestOptionsAreValidated(t *testing.T) {
	for name, option := range map[string]socketeer.Option{
		"adapter":         socketeer.WithAdapter(nil),
		"logger":          socketeer.WithLogger(nil),
		"connect timeout": socketeer.WithConnectTimeout(0),
		"request timeout": socketeer.WithRequestTimeout(-1),
		"max pending":     socketeer.WithMaxPending(0),
		"max namespaces":  socketeer.WithMaxNamespaces(-1),
		"max rooms":       socketeer.WithMaxRooms(-1),
		"attachments":     socketeer.WithMaxAttachments(-1),
		"shutdown rate":   socketeer.WithShutdownRate(-1),
		"transports":      socketeer.WithTransports("pigeon"),
		"ping interval":   socketeer.WithPingInterval(-1),
		"ping timeout":    socketeer.WithPingTimeout(-time.Second),
		"upgrade timeout": socketeer.WithUpgradeTimeout(-1),
		"payload":         socketeer.WithMaxPayload(-1),
		"send buffer":     socketeer.WithSendBuffer(-1),
		"deflate":         socketeer.WithPerMessageDeflate(-1),
	} {
		if srv, err := socketeer.NewServer(option); err == nil || !strings.HasPrefix(err.Error(), "socketeer: ") {
			t.Errorf("%s: %v, %v", name, srv, err)
		}
	}
}

func TestPath(t *testing.T) {
	for _, path := range []string{"/ws", "ws/", "/ws/", "ws"} {
		n := start(t, socketeer.WithPath(path))
		if status, body := get(t, n.url+"/ws/?EIO=4&transport=polling", nil); status != 200 {
			t.Errorf("%q: %d %s", path, status, body)
		}
		if status, _ := get(t, n.url+"/socket.io/?EIO=4&transport=polling", nil); status != 404 {
			t.Errorf("%q: the default path answers %d", path, status)
		}
	}
	n := start(t, socketeer.WithPath("/"))
	if status, body := get(t, n.url+"/?EIO=4&transport=polling", nil); status != 200 {
		t.Errorf("the root: %d %s", status, body)
	}
}

func TestCallOfARemoteSocket(t *testing.T) {
	nodes := startCluster(t, 2)
	c := client(t, nodes[0], "/")
	rename := socketeer.NewCall[string, user]("rename")
	var remote []socketeer.RemoteSocket
	for r, err := range nodes[1].To(c.id).Sockets(ctx(t)) {
		must(t, err)
		remote = append(remote, r)
	}
	if len(remote) != 1 {
		t.Fatalf("%d sockets", len(remote))
	}
	done := make(chan error, 1)
	go func() {
		_, err := rename.Call(ctx(t), remote[0], "eve")
		done <- err
	}()
	c.reply(c.expect("rename", "eve"), user{"eve"})
	must(t, recv(t, "the answer", done))
}

// Options of the layer below arrive there.
func TestEngineOptions(t *testing.T) {
	const query = "/socket.io/?EIO=4&transport=polling"
	var refused atomic.Int32
	n := start(t,
		socketeer.WithMaxPayload(4321), socketeer.WithPingInterval(7*time.Second), socketeer.WithPingTimeout(3*time.Second),
		socketeer.WithoutUpgrades(), socketeer.WithoutHTTPCompression(), socketeer.WithUpgradeTimeout(time.Second),
		socketeer.WithCookie(http.Cookie{}), socketeer.WithPerMessageDeflate(0),
		socketeer.WithCORS(cors.Options{AllowedOrigins: []string{"https://friend.example"}}),
		socketeer.WithAllowRequest(func(r *http.Request) error {
			if r.Header.Get("X-Bad") != "" {
				return &engineio.Refusal{Message: "not you"}
			}
			return nil
		}),
		socketeer.WithHeaders(
			func(h http.Header, _ *http.Request) { h.Set("X-Initial", "1") },
			func(h http.Header, _ *http.Request) { h.Set("X-Every", "1") },
		),
		socketeer.WithConnectionErrors(func(*engineio.ConnectionError) { refused.Add(1) }),
		socketeer.WithSessionID(func(*http.Request) (string, error) { return "chosen", nil }),
	)
	req, err := http.NewRequestWithContext(ctx(t), http.MethodGet, n.url+query, nil)
	must(t, err)
	req.Header.Set("Origin", "https://friend.example")
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	must(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	must(t, err)
	want := `0{"sid":"chosen","upgrades":[],"pingInterval":7000,"pingTimeout":3000,"maxPayload":4321}`
	if string(body) != want {
		t.Errorf("handshake %s", body)
	}
	for name, want := range map[string]string{
		"X-Initial": "1", "X-Every": "1", "Access-Control-Allow-Origin": "https://friend.example",
	} {
		if got := resp.Header.Get(name); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
	if got := resp.Header.Get("Set-Cookie"); !strings.HasPrefix(got, "io=chosen;") {
		t.Errorf("cookie %q", got)
	}
	if status, body := get(t, n.url+query, http.Header{"X-Bad": {"1"}}); status != 403 || !strings.Contains(body, "not you") {
		t.Errorf("%d %s", status, body)
	}
	if refused.Load() != 1 {
		t.Errorf("%d refusals told", refused.Load())
	}
}

func TestMaxAttachments(t *testing.T) {
	n := start(t, socketeer.WithMaxAttachments(1))
	n.On("event", answer("ok"))
	c := client(t, n, "/")
	c.ask("event", []byte{1})
	c.emit("event", []byte{1}, []byte{2})
	c.waitClosed()
}

// A packet with its attachments counts as one.
func TestMaxPayload(t *testing.T) {
	n := start(t, socketeer.WithMaxPayload(1000))
	n.On("event", answer("ok"))
	c := client(t, n, "/")
	c.ask("event", make([]byte, 400), make([]byte, 400))
	c.emit("event", make([]byte, 400), make([]byte, 400), make([]byte, 400), make([]byte, 400))
	c.waitClosed()
}
