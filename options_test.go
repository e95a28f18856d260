package socketeer_test

import (
	"context"
	"strings"
	"testing"

	"github.com/socketeer-io/socketeer"
)

func TestOptionsAreValidated(t *testing.T) {
	for name, option := range map[string]socketeer.Option{
		"adapter":         socketeer.WithAdapter(nil),
		"logger":          socketeer.WithLogger(nil),
		"connect timeout": socketeer.WithConnectTimeout(0),
		"request timeout": socketeer.WithRequestTimeout(-1),
		"max pending":     socketeer.WithMaxPending(0),
		"max namespaces":  socketeer.WithMaxNamespaces(-1),
		"transports":      socketeer.WithTransports("pigeon"),
	} {
		if io, err := socketeer.NewServer(option); err == nil || !strings.HasPrefix(err.Error(), "socketeer: ") {
			t.Errorf("%s: %v, %v", name, io, err)
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
	done := make(chan error, 1)
	go func() {
		for r, err := range nodes[1].To(c.id).Sockets(context.Background()) {
			if err == nil {
				_, err = rename.Call(ctx(t), r, "eve")
			}
			done <- err
			return
		}
	}()
	c.reply(c.expect("rename", "eve"), user{"eve"})
	must(t, recv(t, "the answer", done))
}
