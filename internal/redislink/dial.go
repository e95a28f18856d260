package redislink

import (
	"context"
	"fmt"

	"github.com/redis/rueidis"
)

// Dial connects to what a link connects to, for those who need commands only:
// the client is that of [Link.Client], and there is no link. ctx bounds the
// making of the first connection. The caller closes the client. Of the options
// those of the link's messages are not used; PublishTimeout is how long Redis
// may take to answer. Errors are those of [Open].
func Dial(ctx context.Context, o Options) (rueidis.Client, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	t, err := parseURLs(o.URLs)
	if err != nil {
		return nil, err
	}
	l := &Link{options: o, conf: newConfig(t, &o)}
	type result struct {
		client rueidis.Client
		err    error
	}
	done := make(chan result, 1)
	go func() {
		client, err := l.dial(ctx)
		done <- result{client, err}
	}()
	select {
	case r := <-done:
		return r.client, r.err
	case <-ctx.Done():
		go func() { // it ends within a few times DialTimeout
			if r := <-done; r.client != nil {
				r.client.Close()
			}
		}()
		return nil, fmt.Errorf("socketeer: redis: %w", context.Cause(ctx))
	}
}

// dial finds out how Redis is deployed and makes the client.
func (l *Link) dial(ctx context.Context) (rueidis.Client, error) {
	if err := l.discover(ctx); err != nil {
		return nil, err
	}
	if l.mode == Sentinel {
		a := l.newAsker()
		topo, err := a.resolve(ctx, l.mode, nil)
		a.close()
		if err != nil {
			return nil, err
		}
		if err := l.greet(ctx, topo.publish); err != nil {
			return nil, err
		}
	}
	client, err := l.newClient()
	if err != nil {
		return nil, explain(l.conf.target.addrs[0], err)
	}
	return client, nil
}
