package redislink

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"

	"github.com/redis/rueidis"
)

// Mode is how Redis is deployed.
type Mode string

// The modes.
const (
	Standalone Mode = "standalone"
	Sentinel   Mode = "sentinel"
	Cluster    Mode = "cluster"
)

// topology is who is who among the servers.
type topology struct {
	masters []string       // sorted
	owner   *[slots]string // of each slot; nil unless a cluster
	publish string         // where messages for channels are sent
	listen  string         // where channels are subscribed to
}

// asker asks servers about the topology, on connections of its own. It belongs
// to one goroutine.
type asker struct {
	link *Link
	conf config // for those asked: sentinels have their own user
	open map[string]*node
}

// close ends the connections.
func (a *asker) close() {
	for addr, n := range a.open {
		n.close()
		delete(a.open, addr)
	}
}

// do sends one command to an address. A connection that fails is not kept.
func (a *asker) do(ctx context.Context, addr string, command ...string) (rueidis.RedisMessage, error) {
	n := a.open[addr]
	if n == nil {
		var err error
		if n, err = a.conf.newNode(addr); err != nil {
			if n != nil {
				n.close()
			}
			return rueidis.RedisMessage{}, err
		}
		a.open[addr] = n
	}
	ctx, cancel := context.WithTimeout(ctx, a.conf.answer)
	defer cancel()
	r := n.client.Do(ctx, n.client.B().Arbitrary(command...).Build())
	if r.NonRedisError() != nil {
		delete(a.open, addr)
		n.close()
	}
	return r.ToMessage()
}

// resolve finds out who is who. old is what was true before, or nil.
func (a *asker) resolve(ctx context.Context, mode Mode, old *topology) (*topology, error) {
	switch mode {
	case Sentinel:
		return a.askSentinels(ctx)
	case Cluster:
		return a.askCluster(ctx, old)
	}
	return one(a.link.conf.target.addrs[0]), nil
}

// one is the topology of a single server.
func one(addr string) *topology {
	return &topology{masters: []string{addr}, publish: addr, listen: addr}
}

// askSentinels returns the address of the master that the first sentinel to
// answer names.
func (a *asker) askSentinels(ctx context.Context) (*topology, error) {
	t := &a.link.conf.target
	var failed error
	for _, addr := range shuffled(t.addrs) {
		m, err := a.do(ctx, addr, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", t.master)
		if err == nil {
			var pair []string
			if pair, err = m.AsStrSlice(); err == nil && len(pair) == 2 {
				return one(net.JoinHostPort(pair[0], pair[1])), nil
			}
		}
		if rueidis.IsRedisNil(err) {
			err = fmt.Errorf("the sentinel knows no master named %q", t.master)
		}
		failed = firstError(failed, explain(addr, err))
	}
	return nil, failed
}

// askCluster asks the nodes in random order until one knows who owns the slots.
func (a *asker) askCluster(ctx context.Context, old *topology) (*topology, error) {
	addrs := shuffled(a.link.conf.target.addrs)
	if old != nil {
		addrs = append(shuffled(old.masters), addrs...)
	}
	asked := make(map[string]bool)
	var failed error
	for _, addr := range addrs {
		if asked[addr] {
			continue
		}
		asked[addr] = true
		m, err := a.do(ctx, addr, "CLUSTER", "SLOTS")
		if err == nil {
			var t *topology
			if t, err = readSlots(m, addr, old); err == nil {
				a.forget(t)
				return t, nil
			}
		}
		failed = firstError(failed, explain(addr, err))
	}
	return nil, failed
}

// forget closes connections to who is no master any more.
func (a *asker) forget(t *topology) {
	for addr, n := range a.open {
		if !slices.Contains(t.masters, addr) && !slices.Contains(a.link.conf.target.addrs, addr) {
			n.close()
			delete(a.open, addr)
		}
	}
}

// readSlots reads the answer to CLUSTER SLOTS of the server at an address.
// Slots that nobody owns now are left to who owned them.
func readSlots(m rueidis.RedisMessage, from string, old *topology) (*topology, error) {
	ranges, err := m.ToArray()
	if err != nil {
		return nil, err
	}
	t := &topology{owner: new([slots]string)}
	if old != nil && old.owner != nil {
		*t.owner = *old.owner
	}
	known := make(map[string]bool)
	for _, r := range ranges {
		fields, err := r.ToArray()
		if err != nil || len(fields) < 3 {
			continue
		}
		first, err1 := fields[0].ToInt64()
		last, err2 := fields[1].ToInt64()
		addr := endpoint(fields[2], from)
		if err1 != nil || err2 != nil || addr == "" || first < 0 || last >= slots {
			continue
		}
		if !known[addr] {
			known[addr] = true
			t.masters = append(t.masters, addr)
		}
		for s := first; s <= last; s++ {
			t.owner[s] = addr
		}
	}
	if len(t.masters) == 0 {
		return nil, errors.New("no node of the cluster owns slots: has it been formed?")
	}
	slices.Sort(t.masters)
	t.choose(old)
	return t, nil
}

// choose picks the masters that channels use: those of before while they are
// masters, else any two, so that nodes spread over the cluster. Who listens at a
// master that goes on is not sent elsewhere because the other one has changed:
// what is published meanwhile would be lost.
func (t *topology) choose(old *topology) {
	if old != nil {
		t.publish, t.listen = t.still(old.publish), t.still(old.listen)
	}
	if t.publish == "" {
		t.publish = t.another(t.listen)
	}
	if t.listen == "" || t.listen == t.publish {
		t.listen = t.another(t.publish)
	}
}

// still returns the address of a server if it is a master, or nothing.
func (t *topology) still(addr string) string {
	if slices.Contains(t.masters, addr) {
		return addr
	}
	return ""
}

// another returns any master but one, or that one if there is no other.
func (t *topology) another(but string) string {
	n := len(t.masters)
	i := slices.Index(t.masters, but)
	if i < 0 {
		return t.masters[rand.IntN(n)]
	}
	return t.masters[(i+1+rand.IntN(max(n-1, 1)))%n]
}

// endpoint reads a node of CLUSTER SLOTS. An empty host means the one asked.
func endpoint(m rueidis.RedisMessage, from string) string {
	fields, err := m.ToArray()
	if err != nil || len(fields) < 2 {
		return ""
	}
	port, err := fields[1].ToInt64()
	if err != nil || port < 1 || port > 65535 {
		return ""
	}
	host := ""
	if !fields[0].IsNil() {
		host, _ = fields[0].ToString()
	}
	switch host {
	case "":
		if host, _, err = net.SplitHostPort(from); err != nil {
			return ""
		}
	case "?":
		return ""
	}
	return net.JoinHostPort(host, strconv.FormatInt(port, 10))
}

func shuffled(list []string) []string {
	list = slices.Clone(list)
	rand.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list
}
