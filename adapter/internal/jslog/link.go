package jslog

import (
	"context"
	"time"

	"github.com/nats-io/nats.go"
)

// linkPatience is how long the server may take to answer a ping, if it says
// nothing else, when something has not been answered.
const linkPatience = 2 * time.Second

// suspect says that there was no answer.
func (l *Log) suspect() {
	select {
	case l.suspicion <- struct{}{}:
	default:
	}
}

// linkLoop replaces a connection that swallows everything. The client library
// notices that by pings of its own, after 10 to 15 s, when it may be too late for
// what waits to be kept.
func (l *Log) linkLoop() {
	nc := l.js.Conn()
	for {
		select {
		case <-l.suspicion:
		case <-l.ctx.Done():
			return
		}
		if nc.Status() != nats.CONNECTED {
			continue
		}
		before := nc.Stats()
		ask, cancel := context.WithTimeout(l.ctx, linkPatience)
		err := nc.FlushWithContext(ask)
		cancel()
		after := nc.Stats()
		if err == nil || l.ctx.Err() != nil || after.InMsgs != before.InMsgs || after.Reconnects != before.Reconnects ||
			nc.Status() != nats.CONNECTED {
			continue
		}
		l.count.replaced.Add(1)
		l.log.Warn("jetstream: the connection is silent, and is replaced", "server", nc.ConnectedUrlRedacted())
		if err := nc.ForceReconnect(); err != nil {
			l.log.Debug("jetstream: reconnect", "err", err)
		}
	}
}
