package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/socketeer-io/socketeer/adapter"
	"github.com/socketeer-io/socketeer/adapter/mesh"
	"github.com/socketeer-io/socketeer/adapter/nats"
	"github.com/socketeer-io/socketeer/adapter/redis"
	"github.com/socketeer-io/socketeer/adapter/redisstream"
	"github.com/socketeer-io/socketeer/cluster"
	"github.com/socketeer-io/socketeer/internal/app/config"
)

// membership is a node's place in its cluster.
type membership interface {
	adapter.Factory
	adapter.Node
	adapter.Health
	Members() []cluster.Member
	SetState(cluster.State)
	SetCounts(func() cluster.Counts)
	Watch(func(cluster.Event)) (stop func())
	Close(context.Context) error
}

var (
	_ clustered  = (*nats.Cluster)(nil)
	_ clustered  = (*mesh.Cluster)(nil)
	_ membership = (*redis.Cluster)(nil)
	_ membership = (*redisstream.Cluster)(nil)
	_ membership = (*alone)(nil)
)

// clustered is a membership that can wait for others.
type clustered interface {
	membership
	WaitPeers(ctx context.Context, n int) error
}

// join takes the node's place in the cluster that cfg describes.
func join(ctx context.Context, cfg config.Config, advertise string, log *slog.Logger) (membership, error) {
	c := cfg.Cluster
	switch c.Adapter {
	case config.AdapterNATS:
		member, err := nats.New(ctx, nats.Options{
			Name: cfg.Name, URL: c.NATS, ClusterName: c.Name, ClusterAddr: c.Addr, Peers: c.Peers, Token: c.Token,
			AdvertiseAddr: advertise, Logger: log, Recovery: cfg.Engine.Recovery > 0, JetStream: jetStream(c.JetStream),
		})
		if err != nil {
			return nil, err
		}
		return joined(ctx, c, member)
	case config.AdapterMesh:
		member, err := mesh.New(ctx, mesh.Options{
			Name: cfg.Name, ClusterName: c.Name, ClusterAddr: c.Addr, Peers: c.Peers, Token: c.Token,
			AdvertiseAddr: advertise, Logger: log, Recovery: cfg.Engine.Recovery > 0,
		})
		if err != nil {
			return nil, err
		}
		return joined(ctx, c, member)
	case config.AdapterRedis, config.AdapterRedisSharded:
		mode := redis.Classic
		if c.Adapter == config.AdapterRedisSharded {
			mode = redis.Sharded
		}
		member, err := redis.New(ctx, redis.Options{
			URLs: c.RedisURLs(), Mode: mode, Prefix: c.Prefix, Name: cfg.Name, AdvertiseAddr: advertise, Logger: log,
		})
		if err != nil {
			return nil, err
		}
		return member, nil
	case config.AdapterRedisStreams:
		member, err := redisstream.New(ctx, redisstream.Options{
			URLs: c.RedisURLs(), StreamName: c.Prefix, ChannelPrefix: c.Prefix, Name: cfg.Name, AdvertiseAddr: advertise, Logger: log,
		})
		if err != nil {
			return nil, err
		}
		return member, nil
	}
	return newAlone(cfg.Name, advertise)
}

// jetStream returns what the adapter is to know of it, nil if it is off.
func jetStream(j config.JetStream) *nats.JetStreamOptions {
	if !j.On {
		return nil
	}
	o := &nats.JetStreamOptions{StoreDir: j.Dir, Replicas: j.Replicas, KeepTimeout: j.Wait}
	if j.Storage == "memory" {
		o.Storage = nats.Memory
	}
	return o
}

// joined waits for a peer; without one, member is closed again.
func joined(ctx context.Context, c config.Cluster, member clustered) (membership, error) {
	if err := waitPeer(ctx, c, member); err != nil {
		cut, cancel := context.WithTimeout(context.WithoutCancel(ctx), cutTimeout)
		defer cancel()
		return nil, errors.Join(err, member.Close(cut))
	}
	return member, nil
}

// waitPeer waits for one peer, if there are others than the node itself: who
// names peers means to join a cluster, and not to start one of its own.
func waitPeer(ctx context.Context, c config.Cluster, member clustered) error {
	others := slices.DeleteFunc(slices.Clone(c.Peers), func(p string) bool { return p == c.Addr })
	if c.Wait == 0 || len(others) == 0 {
		return nil
	}
	wait, cancel := context.WithTimeout(ctx, c.Wait)
	defer cancel()
	err := member.WaitPeers(wait, 1)
	if err == nil || ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return fmt.Errorf("socketeer: no node answers at %s within %s: see cluster-peers; the first node of a cluster starts with --cluster-wait 0s",
		strings.Join(others, ", "), c.Wait)
}

// alone is the membership of a node without a cluster.
type alone struct {
	adapter.Memory
	id      cluster.Identity
	addr    string
	started time.Time
	state   atomic.Uint32
	counts  atomic.Pointer[func() cluster.Counts]
}

func newAlone(name, addr string) (*alone, error) {
	id, err := cluster.NewIdentity(name)
	a := &alone{id: id, addr: addr, started: time.Now()}
	a.SetState(cluster.Ready)
	return a, err
}

func (a *alone) Name() string                            { return a.id.Name }
func (a *alone) Tag() string                             { return a.id.Tag() }
func (a *alone) Ready() error                            { return nil }
func (a *alone) SetState(s cluster.State)                { a.state.Store(uint32(s)) }
func (a *alone) SetCounts(f func() cluster.Counts)       { a.counts.Store(&f) }
func (a *alone) Watch(func(cluster.Event)) (stop func()) { return func() {} }
func (a *alone) Close(context.Context) error             { return nil }

// Members returns the node itself.
func (a *alone) Members() []cluster.Member {
	var counts cluster.Counts
	if f := a.counts.Load(); f != nil {
		counts = (*f)()
	}
	return []cluster.Member{{
		Identity: a.id, Addr: a.addr, State: cluster.State(a.state.Load()), Counts: counts,
		Started: a.started, Seen: time.Now(), Self: true,
	}}
}
