package redis

import (
	"bytes"
	"context"
	"slices"
	"sync"

	"github.com/socketeer-io/socketeer/adapter/internal/nodepeers"
	"github.com/socketeer-io/socketeer/internal/nodewire"
	"github.com/socketeer-io/socketeer/internal/redislink"
)

// sharded is the wire of createShardedAdapter.
type sharded struct {
	*Cluster

	mu   sync.Mutex
	seen map[peerKey]struct{} // Node.js peers that sent something
}

type peerKey struct{ nsp, uid string }

var _ wire = (*sharded)(nil)

// maxSeen bounds what is remembered of peers.
const maxSeen = 4096

func (w *sharded) own(nsp, uid string) string { return w.channels.room(nsp, uid) }

func (w *sharded) subscriptions(s *space) []subscription {
	return []subscription{
		{redislink.Shard, w.own(s.name, w.node.UID()), useResponses},
		{redislink.Shard, w.channels.namespace(s.name), useMessages},
	}
}

// roomChannel is where peers publish what is for the room alone: see channel.
func (w *sharded) roomChannel(s *space, room string) (redislink.Kind, string, bool) {
	return redislink.Shard, w.channels.room(s.name, room), w.ownChannel(room)
}

// ownChannel reports whether a room has a channel of its own.
func (w *sharded) ownChannel(room string) bool {
	switch w.o.Subscription {
	case Static:
		return false
	case DynamicPrivate:
		return true
	}
	return !nodewire.PrivateRoom(room)
}

// channel is where a message is published: what wants acknowledgements goes to
// everyone, as all requests do.
func (w *sharded) channel(m *nodewire.Message) string {
	if m.Type == nodewire.Broadcast && m.RequestID == "" && len(m.Target.Rooms) == 1 && w.ownChannel(m.Target.Rooms[0]) {
		return w.channels.room(m.NSP, m.Target.Rooms[0])
	}
	return w.channels.namespace(m.NSP)
}

// peek: the uid stands at the end, so what looks like one before is not it.
func (w *sharded) peek(_ use, s *space, b []byte) (uid []byte, own bool) {
	if nodewire.SentBy(b, w.node.UID(), s.name) {
		return nil, true
	}
	key := msgpackUID
	if len(b) > 0 && b[0] == '{' {
		key = jsonUID
	}
	return uidIn(b, bytes.LastIndex(b, key), key), false
}

func (w *sharded) decode(u use, s *space, b []byte) (*nodewire.Message, error) {
	m, err := nodewire.DecodeEnvelope(b)
	if err != nil {
		return nil, err
	}
	if m.UID != "" && m.NSP == s.name && !nodepeers.IsGo(m.UID) {
		w.note(peerKey{m.NSP, m.UID})
	}
	return m, nil
}

// note remembers a peer.
func (w *sharded) note(k peerKey) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, ok := w.seen[k]; ok {
		return
	}
	if w.seen == nil || len(w.seen) >= maxSeen {
		w.seen = make(map[peerKey]struct{})
	}
	w.seen[k] = struct{}{}
}

// Publish implements nodepeers.Wire.
func (w *sharded) Publish(m *nodewire.Message) error {
	b, err := nodewire.AppendEnvelope(nil, m)
	if err != nil {
		return err
	}
	return w.link.SPublish(w.channel(m), b)
}

// Respond implements nodepeers.Wire.
func (w *sharded) Respond(to string, m *nodewire.Message) error {
	b, err := nodewire.AppendEnvelope(nil, m)
	if err != nil {
		return err
	}
	return w.link.SPublish(w.own(m.NSP, to), b)
}

// Listening implements nodepeers.Wire.
func (w *sharded) Listening(ctx context.Context, nsp string, uids []string) (total int, present []bool, err error) {
	own := make([]string, 0, len(uids))
	for _, uid := range uids {
		own = append(own, w.own(nsp, uid))
	}
	return counts(ctx, w.link.ShardNumSub, w.channels.namespace(nsp), own)
}

// List implements nodepeers.Wire. The channels of rooms look like those of
// uids. When a room's name does so too, there are more uids than adapters; then
// only those count that have sent something. The others will, when they answer.
func (w *sharded) List(ctx context.Context, nsp string) (uids []string, err error) {
	prefix := w.channels.namespace(nsp)
	names, err := w.link.ShardChannels(ctx, escapeGlob(prefix)+"*#")
	if err != nil {
		return nil, err
	}
	uids = slices.DeleteFunc(uidsOf(names, prefix), func(uid string) bool { return !nodepeers.IsGo(uid) && !nodeUID(uid) })
	total, _, err := w.Listening(ctx, nsp, nil)
	if err != nil || len(uids) <= total {
		return uids, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.DeleteFunc(uids, func(uid string) bool {
		_, ok := w.seen[peerKey{nsp, uid}]
		return !ok && !nodepeers.IsGo(uid)
	}), nil
}

// nodeUID reports whether a name can be the uid of a Node.js adapter: 16
// hexadecimal digits.
func nodeUID(s string) bool {
	const length = 16
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return len(s) == length
}
