package redisstream

import (
	"context"
	"strings"
	"time"

	"github.com/socketeer-io/socketeer/adapter/internal/nodepeers"
	"github.com/socketeer-io/socketeer/internal/nodewire"
	"github.com/socketeer-io/socketeer/internal/redislink"
)

// afterMark separates the id of a request from that of the stream entry which
// its sender wrote last. Messages in the stream and requests travel apart; who
// gets a request reads up to there first, so that what was sent before it is
// done before it. Node.js takes it all for the id.
const afterMark = "@"

// afterTimeout bounds that wait.
const afterTimeout = 2 * time.Second

// wire carries the messages of nodepeers.
type wire struct{ c *Cluster }

var _ nodepeers.Wire = wire{}

// Publish implements [nodepeers.Wire]: what changes something, or is worth
// keeping, goes through the stream, questions go through a channel.
func (w wire) Publish(m *nodewire.Message) error {
	ns := w.c.lookup(m.NSP)
	if ns == nil {
		return errClosed
	}
	switch {
	case m.Type == nodewire.Broadcast && m.RequestID == "",
		m.Type == nodewire.SocketsJoin, m.Type == nodewire.SocketsLeave, m.Type == nodewire.DisconnectSockets:
		fields, err := nodewire.StreamFields(m)
		if err != nil {
			return err
		}
		return ns.stream.write.push(write{fields: fields}, nil)
	}
	return ns.stream.write.fence(sizeOf(m), func(last string) error {
		if m.RequestID != "" && last != "" {
			marked := *m
			marked.RequestID += afterMark + last
			return w.publish(w.c.channel(m.NSP), &marked)
		}
		return w.publish(w.c.channel(m.NSP), m)
	})
}

// sizeOf is about how much memory a question takes.
func sizeOf(m *nodewire.Message) int {
	n := len(m.Data)
	for _, b := range m.Attachments {
		n += len(b)
	}
	for _, names := range [][]string{m.Target.Rooms, m.Target.Except} {
		for _, name := range names {
			n += len(name) + 16
		}
	}
	return n
}

// Respond implements [nodepeers.Wire].
func (w wire) Respond(to string, m *nodewire.Message) error {
	return w.publish(w.c.responses(m.NSP, to), m)
}

func (w wire) publish(channel string, m *nodewire.Message) error {
	b, err := nodewire.AppendMsgpackEnvelope(nil, m)
	if err != nil {
		return err
	}
	if w.c.o.UseShardedPubSub {
		return w.c.link.SPublish(channel, b)
	}
	return w.c.link.Publish(channel, b)
}

// Listening implements [nodepeers.Wire].
func (w wire) Listening(ctx context.Context, nsp string, uids []string) (int, []bool, error) {
	channels := []string{w.c.channel(nsp)}
	for _, uid := range uids {
		channels = append(channels, w.c.responses(nsp, uid))
	}
	ask := w.c.link.NumSub
	if w.c.o.UseShardedPubSub {
		ask = w.c.link.ShardNumSub
	}
	counts, err := ask(ctx, channels...)
	if err != nil {
		return 0, nil, err
	}
	present := make([]bool, len(uids))
	for i := range uids {
		present[i] = counts[channels[i+1]] > 0
	}
	return int(counts[channels[0]]), present, nil
}

// List implements [nodepeers.Wire].
func (w wire) List(ctx context.Context, nsp string) ([]string, error) {
	begin := w.c.channel(nsp)
	ask := w.c.link.Channels
	if w.c.o.UseShardedPubSub {
		ask = w.c.link.ShardChannels
	}
	channels, err := ask(ctx, glob.Replace(begin)+"?*#")
	if err != nil {
		return nil, err
	}
	var uids []string
	for _, ch := range channels {
		uid := strings.TrimSuffix(strings.TrimPrefix(ch, begin), "#")
		if isUID(uid) { // and not the rest of another namespace's name
			uids = append(uids, uid)
		}
	}
	return uids, nil
}

// glob escapes what has a meaning in patterns of Redis.
var glob = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`)

// isUID reports whether a name is that of an adapter: a Go node's, or sixteen
// hexadecimal digits of Node.js.
func isUID(s string) bool {
	if nodepeers.IsGo(s) {
		return true
	}
	return len(s) == 16 && strings.Trim(s, "0123456789abcdef") == ""
}

// channel is where the namespace's adapters get questions.
func (c *Cluster) channel(nsp string) string { return c.o.ChannelPrefix + "#" + nsp + "#" }

// responses is where an adapter gets answers.
func (c *Cluster) responses(nsp, uid string) string { return c.channel(nsp) + uid + "#" }

func (c *Cluster) subscribe(ctx context.Context, nsp string) error {
	if c.o.UseShardedPubSub {
		return c.link.SSubscribe(ctx, c.channel(nsp), c.responses(nsp, c.uid))
	}
	return c.link.Subscribe(ctx, c.channel(nsp), c.responses(nsp, c.uid))
}

// unsubscribe does not wait for Redis longer than a moment: what comes late
// finds no namespace.
func (c *Cluster) unsubscribe(nsp string) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	stop := c.link.Unsubscribe
	if c.o.UseShardedPubSub {
		stop = c.link.SUnsubscribe
	}
	if err := stop(ctx, c.channel(nsp), c.responses(nsp, c.uid)); err != nil {
		c.log.Debug("a subscription may not have ended", "nsp", nsp, "err", err)
	}
}

// receive takes what comes on channels.
func (c *Cluster) receive(m redislink.Message) {
	if m.Channel == c.membersChannel() || m.Channel == c.memberChannel(c.id.Incarnation) {
		if err := c.node.ReceiveAnnouncement(m.Data); err != nil {
			c.ignored("channel", m.Channel, err)
		}
		return
	}
	d, err := nodewire.DecodeEnvelope(m.Data)
	if err != nil {
		c.ignored("channel", m.Channel, err)
		return
	}
	ns := c.lookup(d.NSP)
	if ns == nil || d.UID == c.uid {
		return
	}
	after, marked := offset{}, false
	if i := strings.LastIndex(d.RequestID, afterMark); i >= 0 {
		if o, ok := parseOffset(d.RequestID[i+1:]); ok {
			after, marked = o, true
			d.RequestID = d.RequestID[:i]
		}
	}
	if d.Type.Response() {
		ns.peers.Receive(d)
		return
	}
	ns.stream.when(after, marked, len(m.Data), func() { ns.peers.Receive(d) })
}

// announcer carries the announcements of Go nodes.
type announcer struct{ c *Cluster }

func (c *Cluster) membersChannel() string { return c.o.ChannelPrefix + "-socketeer-members" }

func (c *Cluster) memberChannel(incarnation string) string {
	return c.membersChannel() + "#" + incarnation
}

// Announce implements cluster.Transport.
func (a announcer) Announce(frame []byte) error {
	return a.c.link.Publish(a.c.membersChannel(), frame)
}

// Send implements cluster.Transport.
func (a announcer) Send(incarnation string, frame []byte) error {
	return a.c.link.Publish(a.c.memberChannel(incarnation), frame)
}
