package faults_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/socketeer-io/socketeer/internal/redistest"
)

// foreign is a Node.js server of a cluster, with a client.
type foreign struct {
	*redistest.Peer
	name   string
	client *listener
}

// startMixtures starts clusters with two Node.js servers each.
func startMixtures(t testing.TB, p place, mixtures []mixture) (clusters []*cluster) {
	t.Helper()
	var servers []redistest.NodeOptions
	for _, m := range mixtures {
		c := startCluster(t, m.kind, p.urls...)
		clusters = append(clusters, c)
		o := m.foreign(m.adapter, c.prefix, p.urls[0]...)
		o.Rooms = []string{"a", "b"}
		servers = append(servers, o, o)
	}
	for i, f := range redistest.Nodes(t, servers...) {
		c := clusters[i/2]
		c.foreign = append(c.foreign, meet(t, f, fmt.Sprint("js", i%2)))
	}
	for _, c := range clusters {
		all := fmt.Sprint(len(c.nodes) + len(c.foreign))
		for _, f := range c.foreign { // Node.js subscribes without waiting for it
			eventually(t, "all servers to be there", func() bool { return string(f.Must("serverCount", nil)) == all })
		}
	}
	return clusters
}

// meet gives a Node.js server a client.
func meet(t testing.TB, p *redistest.Peer, name string) *foreign {
	t.Helper()
	f := &foreign{p, name, listen(t, "client of "+name, p.Addr())}
	f.client.enters(t)
	return f
}

// send sends a numbered message. What becomes of it, outcomes tells.
func (f *foreign) send(l lane, number int) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	to := []string{}
	if l.room != "" {
		to = append(to, l.room)
	}
	_, err := f.Call(ctx, "emit", args{"rooms": to, "event": "n", "args": []any{l.sender, l.room, number}})
	return err
}

// settled is called when everybody gets something of everybody. Node.js does not
// wait for the subscriptions of its clients: they are only responsible for what
// came after the first messages.
func (c *cluster) settled() {
	for _, f := range c.foreign {
		f.client.absent(window{time.Time{}, time.Now()})
	}
}

// foreignProgress waits until the clients of Node.js servers have got something
// that is sent from now on, of everybody to each room.
func (c *cluster) foreignProgress(t testing.TB) {
	t.Helper()
	for _, f := range c.foreign {
		c.progress(t, f.client)
	}
}

// isForeign reports whether a Node.js server has sent a message.
func (c *cluster) isForeign(m message) bool {
	return slices.ContainsFunc(c.foreign, func(f *foreign) bool { return f.name == m.sender })
}
