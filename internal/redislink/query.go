package redislink

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/redis/rueidis"
)

// NumSub returns how many connections subscribe to each channel, patterns not
// counted. In a Redis Cluster it is the sum over all nodes.
func (l *Link) NumSub(ctx context.Context, channels ...string) (map[string]int64, error) {
	return l.numSub(ctx, "NUMSUB", channels)
}

// ShardNumSub is [Link.NumSub] for shard channels.
func (l *Link) ShardNumSub(ctx context.Context, channels ...string) (map[string]int64, error) {
	return l.numSub(ctx, "SHARDNUMSUB", channels)
}

func (l *Link) numSub(ctx context.Context, question string, channels []string) (map[string]int64, error) {
	sum := make(map[string]int64, len(channels))
	for _, c := range channels {
		sum[c] = 0
	}
	if len(channels) == 0 {
		return sum, nil
	}
	err := l.everywhere(ctx, append([]string{"PUBSUB", question}, channels...), func(m rueidis.RedisMessage) error {
		counts, err := m.AsIntMap()
		for c, n := range counts {
			sum[c] += n
		}
		return err
	})
	return sum, err
}

// Channels returns the channels that match a pattern and have subscribers, in
// no order. In a Redis Cluster it asks all nodes.
func (l *Link) Channels(ctx context.Context, pattern string) ([]string, error) {
	return l.channels(ctx, "CHANNELS", pattern)
}

// ShardChannels is [Link.Channels] for shard channels.
func (l *Link) ShardChannels(ctx context.Context, pattern string) ([]string, error) {
	return l.channels(ctx, "SHARDCHANNELS", pattern)
}

func (l *Link) channels(ctx context.Context, question, pattern string) ([]string, error) {
	set := make(map[string]struct{})
	err := l.everywhere(ctx, []string{"PUBSUB", question, pattern}, func(m rueidis.RedisMessage) error {
		names, err := m.AsStrSlice()
		for _, name := range names {
			set[name] = struct{}{}
		}
		return err
	})
	return slices.Collect(maps.Keys(set)), err
}

// everywhere sends a command to every server whose clients may subscribe, and
// calls read with each answer, one after the other. A replica of a Redis
// Cluster that does not answer is left out.
func (l *Link) everywhere(ctx context.Context, command []string, read func(rueidis.RedisMessage) error) error {
	if l.ctx.Err() != nil {
		return ErrClosed
	}
	servers := map[string]rueidis.Client{"": l.client}
	if l.mode == Cluster {
		servers = l.client.Nodes()
	}
	masters := l.view.Load().topo.masters
	var (
		mu     sync.Mutex
		wg     sync.WaitGroup
		failed error
	)
	for addr, server := range servers {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, l.options.PublishTimeout)
			defer cancel()
			m, err := server.Do(ctx, server.B().Arbitrary(command...).ReadOnly()).ToMessage()
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				err = read(m)
			} else if l.mode == Cluster && !slices.Contains(masters, addr) {
				return
			}
			if err != nil {
				failed = firstError(failed, fmt.Errorf("socketeer: redis: %s %s: %w", command[0], command[1], err))
			}
		})
	}
	wg.Wait()
	return failed
}
