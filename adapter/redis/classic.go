package redis

import (
	"bytes"
	"context"

	"github.com/socketeer-io/socketeer/adapter/internal/nodepeers"
	"github.com/socketeer-io/socketeer/internal/nodewire"
	"github.com/socketeer-io/socketeer/internal/redislink"
)

// classic is the wire of createAdapter.
//
// Node.js subscribes to a pattern and receives the messages of all rooms. It
// publishes each to the channel of its room, though, so this node subscribes to
// those of the rooms it has members in, and by one pattern to those of its
// sockets.
type classic struct{ *Cluster }

var _ wire = classic{}

// peekLen is how far into a request its uid may begin to be found.
const peekLen = 256

func (w classic) subscriptions(s *space) []subscription {
	return []subscription{
		{redislink.Channel, w.channels.classicOwn(s.name, w.node.UID()), useResponses},
		{redislink.Channel, w.channels.response(s.name), useResponses},
		{redislink.Channel, w.channels.namespace(s.name), useMessages},
		{redislink.Pattern, w.channels.idPattern(s.name, w.node.Tag()), useMessages},
		{redislink.Channel, w.channels.request(s.name), useRequests},
	}
}

func (w classic) roomChannel(s *space, room string) (redislink.Kind, string, bool) {
	return redislink.Channel, w.channels.room(s.name, room), !ownID(room, w.node.Tag())
}

func (w classic) peek(u use, _ *space, b []byte) (uid []byte, own bool) {
	if u == useMessages {
		uid, _ = nodewire.PeekClassicUID(b)
	} else {
		head := b[:min(len(b), peekLen)]
		key := msgpackUID
		if len(b) > 0 && b[0] == '{' {
			key = jsonUID
		}
		if uid = uidIn(head, bytes.Index(head, key), key); uid == nil {
			uid = []byte(nodewire.EmitterUID) // whose requests lack it
		}
	}
	return uid, string(uid) == w.node.UID()
}

func (classic) decode(u use, s *space, b []byte) (m *nodewire.Message, err error) {
	switch u {
	case useMessages:
		return nodewire.DecodeClassicBroadcast(b)
	case useRequests:
		m, err = nodewire.DecodeClassicRequest(b)
	default:
		m, err = nodewire.DecodeClassicResponse(b)
	}
	if err == nil && m.NSP == "" {
		m.NSP = s.name
	}
	return m, err
}

// Publish implements nodepeers.Wire.
func (w classic) Publish(m *nodewire.Message) error {
	if m.Type != nodewire.Broadcast || m.RequestID != "" {
		b, err := nodewire.AppendClassicRequest(nil, m)
		if err != nil {
			return err
		}
		return w.link.Publish(w.channels.request(m.NSP), b)
	}
	b, err := nodewire.AppendClassicBroadcast(nil, m)
	if err != nil {
		return err
	}
	channel := w.channels.namespace(m.NSP)
	if len(m.Target.Rooms) == 1 {
		channel = w.channels.room(m.NSP, m.Target.Rooms[0])
	}
	return w.link.Publish(channel, b)
}

// Respond implements nodepeers.Wire. Old Node.js nodes have no channel of their
// own.
func (w classic) Respond(to string, m *nodewire.Message) error {
	b, err := nodewire.AppendClassicResponse(nil, m)
	if err != nil {
		return err
	}
	channel := w.channels.response(m.NSP)
	if nodepeers.IsGo(to) {
		channel = w.channels.classicOwn(m.NSP, to)
	}
	return w.link.Publish(channel, b)
}

// Listening implements nodepeers.Wire.
func (w classic) Listening(ctx context.Context, nsp string, uids []string) (total int, present []bool, err error) {
	own := make([]string, 0, len(uids))
	for _, uid := range uids {
		own = append(own, w.channels.classicOwn(nsp, uid))
	}
	return counts(ctx, w.link.NumSub, w.channels.request(nsp), own)
}

// List implements nodepeers.Wire.
func (w classic) List(ctx context.Context, nsp string) (uids []string, err error) {
	prefix := w.channels.response(nsp)
	names, err := w.link.Channels(ctx, escapeGlob(prefix)+"*#")
	return uidsOf(names, prefix), err
}
