package redislink

import (
	"context"
	"errors"
	"time"

	"github.com/redis/rueidis"
)

var errForced = errors.New("it is made anew")

// maxMoves bounds how often an item may be sent to another master.
const maxMoves = 5

// Backing off, and the time after which an idle connection is looked at before
// it is used.
const (
	backoffMin = 50 * time.Millisecond
	backoffMax = 5 * time.Second
	idleTime   = 500 * time.Millisecond
)

// usable makes a connection if something waits and there is none, or the one
// there is has ended unnoticed. What waits is not taken before there is one: so
// who retires the lane meanwhile gets all of it.
func (n *lane) usable(ctx context.Context) error {
	if n.waiting() == 0 || n.node != nil && (n.link.now()-n.used <= idleTime || !n.node.dead()) {
		return nil
	}
	return n.connect(ctx)
}

// send sends a batch and deals with the answers.
func (n *lane) send(ctx context.Context, batch []item) {
	b := n.node.client.B()
	n.link.count.batches.Add(1)
	if len(batch) == 1 {
		r := n.node.client.Do(ctx, batch[0].build(b))
		n.used = n.link.now()
		n.answered(&batch[0], r)
		return
	}
	commands := make([]rueidis.Completed, len(batch))
	for i := range batch {
		commands[i] = batch[i].build(b)
	}
	results := n.node.client.DoMulti(ctx, commands...)
	n.used = n.link.now()
	for i, r := range results {
		n.answered(&batch[i], r)
	}
}

// build makes the command of an item.
func (it *item) build(b rueidis.Builder) rueidis.Completed {
	switch it.verb {
	case verbPublish:
		return b.Publish().Channel(it.channel).Message(rueidis.BinaryString(it.data)).Build()
	case verbShardPublish:
		return b.Spublish().Channel(it.channel).Message(rueidis.BinaryString(it.data)).Build()
	}
	return it.command
}

// answered deals with one answer.
func (n *lane) answered(it *item, r rueidis.RedisResult) {
	err := r.NonRedisError()
	if err != nil {
		n.link.count.lost.Add(1)
		n.lost(err)
		it.finish(rueidis.RedisMessage{}, from(n.addr, err))
		return
	}
	err = r.Error()
	if moved(err) || redisError(err, "CLUSTERDOWN", "TRYAGAIN") {
		n.link.divert(*it) // it was not carried out
		return
	}
	if it.verb == verbCommand {
		n.link.count.commands.Add(1)
		m, err := r.ToMessage()
		it.finish(m, err)
		return
	}
	if err != nil {
		n.link.count.refused.Add(1)
		n.link.refused.log(n.link.log, "redis refuses messages", explain(n.addr, err))
		it.finish(rueidis.RedisMessage{}, explain(n.addr, err))
		return
	}
	n.link.count.published.Add(1)
	n.link.refused.over(n.link.log, "redis takes messages again")
	it.finish(rueidis.RedisMessage{}, nil)
}

func (it *item) finish(m rueidis.RedisMessage, err error) {
	if it.done != nil {
		it.done(m, err)
	}
}

// lost notes that the connection is gone. What waits goes on waiting for a
// while.
func (n *lane) lost(err error) {
	n.mu.Lock()
	first := n.up && !n.retired
	if first {
		n.up, n.downAt = false, n.link.now()
		n.timer = time.AfterFunc(n.link.options.PublishTimeout, n.expire)
	}
	n.mu.Unlock()
	if first {
		n.link.outage.log(n.link.log, "connection to redis lost; reconnecting", from(n.addr, err))
	}
}

// expire drops what waited too long for a connection.
func (n *lane) expire() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.up || n.retired || n.timer == nil {
		return
	}
	now, limit := n.link.now(), n.link.options.PublishTimeout
	n.refuse = now-n.downAt >= limit
	old := 0
	for old < len(n.items) && (n.refuse || now-n.items[old].at >= limit) {
		n.bytes -= n.items[old].size()
		old++
	}
	dropped := n.items[:old:old]
	n.items = n.items[old:]
	if !n.refuse {
		next := n.downAt
		if len(n.items) > 0 {
			next = min(next, n.items[0].at)
		}
		n.timer.Reset(max(next+limit-now, time.Millisecond))
	}
	n.link.count.down.Add(uint64(old))
	if old > 0 {
		n.link.wg.Go(func() { finishAll(dropped, ErrDown) })
	}
}

func finishAll(items []item, err error) {
	for i := range items {
		items[i].finish(rueidis.RedisMessage{}, err)
	}
}

// stopTimer is called with mu held.
func (n *lane) stopTimer() {
	if n.timer != nil {
		n.timer.Stop()
		n.timer = nil
	}
}

// reconnect tries until there is a connection. It returns false if there is
// no more need for one.
func (n *lane) reconnect(ctx context.Context) bool {
	for attempt := 0; !n.over(); attempt++ {
		if n.connect(ctx) == nil {
			n.link.count.reconnects.Add(1)
			return true
		}
		n.link.kick()
		select {
		case <-n.link.after(attempt):
		case <-n.link.draining:
			return false
		}
	}
	return false
}

// over reports whether the lane is retired.
func (n *lane) over() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.retired
}

// connect makes a connection and checks that it is to a master.
func (n *lane) connect(ctx context.Context) error {
	n.disconnect()
	node, err := n.link.newLaneNode(ctx, n.addr)
	if err != nil {
		n.link.log.Debug("no connection to redis", "err", explain(n.addr, err))
		return err
	}
	select {
	case <-n.reset: // it asked for what was done just now
	default:
	}
	n.node, n.used = node, n.link.now()
	n.mu.Lock()
	n.up, n.refuse = true, false
	n.stopTimer()
	n.mu.Unlock()
	n.link.outage.over(n.link.log, "connected to redis again")
	return nil
}

func (n *lane) disconnect() {
	if n.node != nil {
		n.node.close()
		n.node = nil
	}
}

// newLaneNode connects to a master.
func (l *Link) newLaneNode(ctx context.Context, addr string) (*node, error) {
	node, err := l.conf.newNode(addr)
	if err == nil {
		ctx, cancel := context.WithTimeout(ctx, l.conf.dial)
		err = l.checkMaster(ctx, node.client)
		cancel()
	}
	if err != nil {
		if node != nil {
			node.close()
		}
		return nil, err
	}
	return node, nil
}

// checkMaster returns an error if a server says that it is a replica. In a
// Redis Cluster messages reach everybody from anywhere.
func (l *Link) checkMaster(ctx context.Context, c rueidis.CommandClient) error {
	a, err := hello(ctx, c)
	if err == nil && a.role == "replica" && l.mode != Cluster {
		err = errReplica
	}
	return err
}
