package nats_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/socketeer-io/socketeer"
	"github.com/socketeer-io/socketeer/client"
)

// A client is on a node that is cut off from the cluster and ends, while both
// nodes send. It comes back on the other one with its id, and has got everything
// once, and each sender's messages in order.
func TestClientComesBackOnAnotherNode(t *testing.T) {
	t.Parallel()
	nodes := recovering(t, 2)
	var servers [2]*socketeer.Server
	for i, c := range nodes {
		io, err := socketeer.NewServer(socketeer.WithAdapter(c), socketeer.WithRecovery(socketeer.Recovery{}))
		if err != nil {
			t.Fatal(err)
		}
		io.OnConnect(func(ctx context.Context, s *socketeer.Socket) error { return s.Join(ctx, "r") })
		servers[i] = io
		t.Cleanup(func() { io.Close() })
	}
	var current atomic.Pointer[socketeer.Server] // where the load balancer sends clients
	current.Store(servers[0])
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { current.Load().ServeHTTP(w, r) }))
	defer front.Close()

	got := make(chan [2]int, 1<<16)
	c, err := client.New(front.URL, client.WithTransports("websocket"), client.WithReconnectDelay(10*time.Millisecond, 50*time.Millisecond, 0))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s := c.Of("/")
	s.On("n", func(_ context.Context, m *client.Message) error {
		var from, n int
		if err := m.Decode(&from, &n); err != nil {
			t.Error(err)
			return err
		}
		got <- [2]int{from, n}
		return nil
	})
	if err := s.Connect(patient(t)); err != nil {
		t.Fatal(err)
	}
	id := s.ID()
	eventually(t, "replicas", func() bool { return nodes[0].Stats().Log.InSync == 1 && nodes[1].Stats().Log.InSync == 1 })

	const before, after = 200, 200
	send := func(i, n int) {
		if err := servers[i].To("r").Emit("n", i, n); err != nil {
			t.Errorf("emit: %v", err)
		}
	}
	for n := range before {
		send(0, n)
		send(1, n)
	}
	next := [2]int{}
	take := func() {
		select {
		case g := <-got:
			if g[1] != next[g[0]] {
				t.Fatalf("got %d of node %d, not %d", g[1], g[0], next[g[0]])
			}
			next[g[0]]++
		case <-time.After(patience):
			t.Fatalf("only %d of the first and %d of the second node arrived", next[0], next[1])
		}
	}
	for next[0] < before/2 { // the rest is on its way
		take()
	}
	current.Store(servers[1])
	eventually(t, "all to be kept", func() bool { return nodes[0].Stats().Log.Waiting == 0 })
	kill(t, nodes[0])
	servers[0].Close()
	for n := range after {
		send(1, before+n)
	}
	for next[0] < before || next[1] < before+after {
		take()
	}
	if s.ID() != id || !s.Recovered() {
		t.Errorf("recovered %v, id %s was %s", s.Recovered(), s.ID(), id)
	}
	send(1, before+after)
	take()
	if len(got) > 0 {
		t.Error("something came twice")
	}
}
