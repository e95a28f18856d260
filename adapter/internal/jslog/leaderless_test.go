package jslog_test

import (
	"net"
	"sync"
	"testing"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/socketeer-io/socketeer/adapter"
)

// gate is on the way from a server. While it is locked, what the server says
// comes late.
type gate struct{ sync.RWMutex }

// Dial implements natsgo.CustomDialer.
func (g *gate) Dial(network, addr string) (net.Conn, error) {
	c, err := net.Dial(network, addr)
	return gated{c, g}, err
}

type gated struct {
	net.Conn
	gate *gate
}

func (c gated) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.gate.RLock()
	defer c.gate.RUnlock()
	return n, err
}

// A node that was killed had read what this one has not, and JetStream does not
// answer, since that node's server led the stream: its clients wait until another
// leads. So do those who need what this node has never read.
func TestMissedWaitsForJetStream(t *testing.T) {
	s := serve(t, t.TempDir(), -1)
	ahead := start(t, dial(t, s), "ahead", nil)
	old := emit(t, ahead, "/", "old")
	emit(t, ahead, "/", "middle")

	var g gate
	nc, err := natsgo.Connect(s.ClientURL(), natsgo.SetCustomDialer(&g), natsgo.MaxReconnects(-1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	l := start(t, js, "behind", nil)
	g.Lock()
	opened := sync.OnceFunc(g.Unlock)
	t.Cleanup(opened)
	newest := emit(t, ahead, "/", "newest")

	type answer struct {
		missed []*adapter.Message
		err    error
	}
	ask := func(offset string) <-chan answer {
		c := make(chan answer, 1)
		ctx := patient(t)
		go func() {
			list, err := l.Missed(ctx, "/", &adapter.Session{Rooms: []string{"x"}}, offset)
			c <- answer{list, err}
		}()
		return c
	}
	first, last := ask(old), ask(newest)
	eventually(t, "it to ask again", func() bool { return l.Stats().Ends >= 5 || len(first)+len(last) > 0 })
	opened()
	for _, c := range []struct {
		name string
		got  <-chan answer
		want int
	}{{"who needs what was before this node", first, 1}, {"who is ahead of this node", last, 0}} {
		if a := <-c.got; a.err != nil || len(a.missed) < c.want {
			t.Errorf("%s: %d messages, %v", c.name, len(a.missed), a.err)
		}
	}
}
