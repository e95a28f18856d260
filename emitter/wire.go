package emitter

import (
	"fmt"
	"strconv"

	"github.com/redis/rueidis"

	"github.com/socketeer-io/socketeer/internal/nodewire"
	"github.com/socketeer-io/socketeer/protocol/sio"
)

// wire makes of messages the commands that bring them to the nodes.
type wire struct {
	o     Options
	build func() rueidis.Builder
}

// command encodes a message as the emitters for Node.js do, and for Sharded,
// which has none, as its adapter does.
func (w *wire) command(m *nodewire.Message) (rueidis.Completed, error) {
	m.UID = nodewire.EmitterUID
	switch w.o.Mode {
	case Sharded:
		data, err := nodewire.AppendEnvelope(nil, m)
		return w.build().Spublish().Channel(w.shardChannel(m)).Message(rueidis.BinaryString(data)).Build(), err
	case Streams:
		fields, err := nodewire.StreamFields(m)
		return w.build().Arbitrary("XADD").Keys(w.stream(m.NSP)).Args(w.trim()...).Args(fields...).Build(), err
	default:
		channel, data, err := w.classic(m)
		return w.build().Publish().Channel(channel).Message(rueidis.BinaryString(data)).Build(), err
	}
}

// classic encodes a message of the classic adapter. Only events are
// broadcasts; the rest are requests that nobody answers.
func (w *wire) classic(m *nodewire.Message) (channel string, data []byte, err error) {
	if m.Type != nodewire.Broadcast {
		if m.Type != nodewire.ServerSideEmit {
			m.UID = "" // those have none
		}
		data, err = nodewire.AppendClassicRequest(nil, m)
		return w.o.Prefix + "-request#" + m.NSP + "#", data, err
	}
	channel = w.channel(m.NSP)
	if len(m.Target.Rooms) == 1 {
		channel += m.Target.Rooms[0] + "#"
	}
	if w.o.Parser != nil {
		data, err = w.parse(m)
	} else {
		data, err = nodewire.AppendClassicBroadcast(nil, m)
	}
	return channel, data, err
}

// channel is that of a namespace.
func (w *wire) channel(nsp string) string { return w.o.Prefix + "#" + nsp + "#" }

// shardChannel is where nodes expect a message of the sharded adapter.
func (w *wire) shardChannel(m *nodewire.Message) string {
	channel := w.channel(m.NSP)
	if m.Type != nodewire.Broadcast || len(m.Target.Rooms) != 1 || w.o.Subscription == Static {
		return channel
	}
	room := m.Target.Rooms[0]
	if w.o.Subscription == Dynamic && nodewire.PrivateRoom(room) {
		return channel
	}
	return channel + room + "#"
}

// stream is that of a namespace. It has the name that Node.js gives it, which
// our nodes read too.
func (w *wire) stream(nsp string) string {
	return nodewire.StreamName(w.o.Prefix, nsp, w.o.StreamCount, true)
}

// trim returns the arguments of XADD before the fields.
func (w *wire) trim() []string {
	if w.o.MaxLen < 0 {
		return []string{"*"}
	}
	return []string{"MAXLEN", "~", strconv.Itoa(w.o.MaxLen), "*"}
}

// packetEvent is the type of an event's packet, with binary arguments too.
const packetEvent = 2

// parse has an event encoded by the user's parser.
func (w *wire) parse(m *nodewire.Message) ([]byte, error) {
	var args any
	if err := sio.DecodeArg(m.Data, m.Attachments, &args); err != nil {
		return nil, err
	}
	flags := map[string]any{}
	if m.Flags.Volatile {
		flags["volatile"] = true
	}
	if m.Flags.NoCompress {
		flags["compress"] = false
	}
	data, err := w.o.Parser([]any{
		m.UID,
		map[string]any{"type": float64(packetEvent), "data": args, "nsp": m.NSP},
		map[string]any{"rooms": list(m.Target.Rooms), "flags": flags, "except": list(m.Target.Except)},
	})
	if err != nil {
		return nil, fmt.Errorf("parser: %w", err)
	}
	return data, nil
}

// list is never nil, which a parser would make null of.
func list(names []string) []any {
	all := make([]any, len(names))
	for i, name := range names {
		all[i] = name
	}
	return all
}
