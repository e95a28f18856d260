package redistest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/socketeer-io/socketeer/internal/nettest"
)

const (
	masters  = 3
	allSlots = 16384
)

// RedisCluster is a Redis Cluster of three masters, and perhaps replicas.
type RedisCluster struct {
	tb testing.TB
	// Nodes are the masters, then the replicas: Nodes[3] is one of Nodes[0].
	// Who is what changes with failovers.
	Nodes []*Server
}

// Cluster starts a Redis Cluster, with as many replicas for each master, and
// waits until it has formed. At most one Options applies to all nodes.
func Cluster(tb testing.TB, replicas int, o ...Options) *RedisCluster {
	tb.Helper()
	c := &RedisCluster{tb: tb}
	for range masters * (1 + replicas) {
		s := newServer(tb, one(o), "--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf",
			"--cluster-node-timeout", "1000", "--cluster-replica-validity-factor", "0",
			"--cluster-port", strconv.Itoa(nettest.FreePort(tb)), "--repl-timeout", "5")
		if s.options.Password != "" {
			s.args = append(s.args, "--masterauth", s.options.Password)
		}
		if s.cert != nil {
			s.args = append(s.args, "--tls-cluster", "yes", "--tls-replication", "yes")
		}
		if len(c.Nodes) > 0 {
			s.cert = c.Nodes[0].cert // one certificate, so that they trust each other
			s.args = append(s.args, s.certArgs()...)
		}
		s.Restart()
		c.Nodes = append(c.Nodes, s)
	}
	c.form(replicas)
	return c
}

// certArgs repeats the certificate's options, of which the last ones count.
func (s *Server) certArgs() []string {
	if s.cert == nil {
		return nil
	}
	return []string{"--tls-cert-file", s.cert.certFile, "--tls-key-file", s.cert.keyFile, "--tls-ca-cert-file", s.cert.certFile}
}

// form makes a cluster of the nodes.
func (c *RedisCluster) form(replicas int) {
	c.tb.Helper()
	for i, s := range c.Nodes {
		s.Must("CLUSTER", "SET-CONFIG-EPOCH", strconv.Itoa(i+1))
		if i < masters {
			first, last := i*allSlots/masters, (i+1)*allSlots/masters-1
			s.Must("CLUSTER", "ADDSLOTSRANGE", strconv.Itoa(first), strconv.Itoa(last))
		}
	}
	for _, s := range c.Nodes[1:] {
		c.Nodes[0].Must("CLUSTER", "MEET", "127.0.0.1", strconv.Itoa(s.port), s.busPort())
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTime)
	defer cancel()
	c.wait(ctx, "cluster_state:ok", "cluster_known_nodes:"+strconv.Itoa(len(c.Nodes)))
	if replicas == 0 {
		return
	}
	for i, s := range c.Nodes[masters:] {
		id := fmt.Sprint(c.Nodes[i%masters].Must("CLUSTER", "MYID"))
		if err := until(ctx, func() error {
			_, err := s.Do(ctx, "CLUSTER", "REPLICATE", id)
			return err
		}); err != nil {
			c.tb.Fatalf("cluster: replicate: %v", err)
		}
	}
	for _, s := range c.Nodes[masters:] {
		s.waitInfo(ctx, "REPLICATION", "master_link_status:up")
	}
	// A replica is no candidate before the masters know it.
	for _, s := range c.Nodes {
		if err := until(ctx, func() error {
			nodes, err := s.Do(ctx, "CLUSTER", "NODES")
			if err == nil && strings.Count(fmt.Sprint(nodes), "slave") != masters*replicas {
				err = errors.New("replicas are not known")
			}
			return err
		}); err != nil {
			c.tb.Fatalf("cluster: %v", err)
		}
	}
}

func (s *Server) busPort() string {
	for i, arg := range s.args {
		if arg == "--cluster-port" {
			return s.args[i+1]
		}
	}
	return ""
}

// wait waits until all nodes say all of it in CLUSTER INFO.
func (c *RedisCluster) wait(ctx context.Context, words ...string) {
	c.tb.Helper()
	for _, s := range c.Nodes {
		if err := until(ctx, func() error {
			info, err := s.Do(ctx, "CLUSTER", "INFO")
			return has(info, err, words...)
		}); err != nil {
			c.tb.Fatalf("cluster: %v", err)
		}
	}
}

// has returns an error unless an answer contains all words.
func has(answer any, err error, words ...string) error {
	if err != nil {
		return err
	}
	for _, w := range words {
		if !strings.Contains(fmt.Sprint(answer), w) {
			return fmt.Errorf("not yet %s", w)
		}
	}
	return nil
}

// waitInfo waits until a server says all of it in a section of INFO.
func (s *Server) waitInfo(ctx context.Context, section string, words ...string) {
	s.tb.Helper()
	if err := until(ctx, func() error {
		info, err := s.Do(ctx, "INFO", section)
		return has(info, err, words...)
	}); err != nil {
		s.tb.Fatalf("redis-server %s: %v", s.Addr(), err)
	}
}

// URLs returns those of all nodes.
func (c *RedisCluster) URLs() []string {
	var urls []string
	for _, s := range c.Nodes {
		urls = append(urls, s.URL())
	}
	return urls
}

// Owner returns the master of a slot, as the first node that answers sees it,
// or nil.
func (c *RedisCluster) Owner(slot uint16) *Server {
	c.tb.Helper()
	for _, s := range c.Nodes {
		v, err := s.Do(context.Background(), "CLUSTER", "SLOTS")
		ranges, ok := v.([]any)
		if err != nil || !ok {
			continue
		}
		for _, r := range ranges {
			f, _ := r.([]any)
			first, _ := f[0].(int64)
			last, _ := f[1].(int64)
			if int64(slot) < first || int64(slot) > last {
				continue
			}
			master, _ := f[2].([]any)
			return c.byPort(master[1])
		}
		return nil
	}
	return nil
}

func (c *RedisCluster) byPort(port any) *Server {
	for _, s := range c.Nodes {
		if int64(s.port) == port {
			return s
		}
	}
	return nil
}

// Move gives an empty slot to another master, and tells all masters.
func (c *RedisCluster) Move(slot uint16, to *Server) {
	c.tb.Helper()
	from := c.Owner(slot)
	id := fmt.Sprint(to.Must("CLUSTER", "MYID"))
	n := strconv.Itoa(int(slot))
	to.Must("CLUSTER", "SETSLOT", n, "IMPORTING", fmt.Sprint(from.Must("CLUSTER", "MYID")))
	from.Must("CLUSTER", "SETSLOT", n, "MIGRATING", id)
	for _, s := range []*Server{to, from} {
		s.Must("CLUSTER", "SETSLOT", n, "NODE", id)
	}
	for _, s := range c.Nodes[:masters] {
		s.Must("CLUSTER", "SETSLOT", n, "NODE", id)
	}
}
