package nats_test

import (
	"net/url"
	"testing"
	"time"

	"github.com/socketeer-io/socketeer/adapter/nats"
	"github.com/socketeer-io/socketeer/internal/nettest"
)

func TestDeafConnectionIsReplaced(t *testing.T) {
	t.Parallel()
	u, err := url.Parse(natsServer(t))
	if err != nil {
		t.Fatal(err)
	}
	p := nettest.StartProxy(t, u.Host)
	o := nats.Options{URL: "nats://" + p.Addr(), ProbeInterval: 50 * time.Millisecond}
	var all []*nats.Cluster
	for range 2 {
		all = append(all, node(t, o))
	}
	from, to := pair(t, all)
	p.Blackhole(true)
	eventually(t, "the nodes to notice", func() bool { return all[0].Ready() != nil && all[1].Ready() != nil })
	p.Blackhole(false) // for new connections
	eventually(t, "the node to hear again", func() bool { return all[1].Ready() == nil && all[0].Ready() == nil })
	if s := all[1].Stats(); s.ProbeFailures == 0 || s.Reconnects == 0 {
		t.Errorf("%+v", s)
	}
	before := to.n.Load()
	eventually(t, "a message", func() bool {
		if err := from.Publish(toRoom([]byte(`["again"]`))); err != nil {
			t.Error(err)
		}
		return to.n.Load() > before
	})
}

// A server that takes connections and does not answer holds nobody up for longer
// than a connection may take, however long the node's start was allowed to take.
func TestHangingServerHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	u, err := url.Parse(natsServer(t))
	if err != nil {
		t.Fatal(err)
	}
	p := nettest.StartProxy(t, u.Host)
	c := node(t, nats.Options{URL: "nats://" + p.Addr()})
	a, err := c.Open(patient(t), "/", &counter{})
	if err != nil {
		t.Fatal(err)
	}
	p.Blackhole(true)
	p.Cut()
	before := p.Taken()
	eventually(t, "the node to connect again", func() bool { return p.Taken() >= before+2 }) // what sends, and what probes
	begin := time.Now()
	if err := a.Publish(toRoom([]byte(`["late"]`))); err != nil {
		t.Error(err)
	}
	if took := time.Since(begin); took > patience/2 {
		t.Errorf("it took %v to send", took)
	}
}

func TestLoneNodeHearsItself(t *testing.T) {
	t.Parallel()
	c := node(t, nats.Options{ProbeInterval: 30 * time.Millisecond})
	eventually(t, "probes", func() bool { return c.Stats().Probes > 5 })
	if s := c.Stats(); s.ProbeFailures > 0 || c.Ready() != nil {
		t.Errorf("%+v", s)
	}
}
