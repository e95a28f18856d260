package emitter

import (
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/socketeer-io/socketeer/adapter"
	"github.com/socketeer-io/socketeer/internal/nodewire"
	"github.com/socketeer-io/socketeer/protocol/sio"
)

var (
	// ErrReserved says that an event's name is reserved.
	ErrReserved = errors.New("socketeer: event name is reserved")
	// ErrAck says that the last argument is a function, which would be an
	// acknowledgement's.
	ErrAck = errors.New("socketeer: an emitter gets no acknowledgements: it receives nothing; ask from a node of the cluster")
)

// Broadcast is an operation on a set of sockets, on all nodes. It is an
// immutable value: each method that narrows it returns a new one.
type Broadcast struct {
	out    *outlet
	nsp    string
	target adapter.Target
	flags  adapter.Flags
}

// To adds rooms to send to. A socket's id is a room, too.
func (b Broadcast) To(rooms ...string) Broadcast {
	b.target.Rooms = with(b.target.Rooms, rooms)
	return b
}

// In is To.
func (b Broadcast) In(rooms ...string) Broadcast { return b.To(rooms...) }

// Except adds rooms whose sockets are left out.
func (b Broadcast) Except(rooms ...string) Broadcast {
	b.target.Except = with(b.target.Except, rooms)
	return b
}

// with returns a set and what is added to it. It does not change the set.
func with(set, names []string) []string {
	set = slices.Clip(set)
	for _, name := range names {
		if !slices.Contains(set, name) {
			set = append(set, name)
		}
	}
	return set
}

// Volatile lets sockets miss the event whose connection is not writable.
func (b Broadcast) Volatile() Broadcast { b.flags.Volatile = true; return b }

// Compress says whether the event is worth compressing. Default true.
func (b Broadcast) Compress(compress bool) Broadcast { b.flags.NoCompress = !compress; return b }

// Emit sends an event to the sockets. []byte anywhere in the arguments stays
// binary.
//
// It does not wait. Errors: [ErrReserved], [ErrAck], an argument that cannot be
// encoded, [ErrBacklog], [ErrDown] and [ErrClosed]; with all of them nothing is
// sent. Later losses are what [Emitter.Flush] tells.
func (b Broadcast) Emit(event string, args ...any) error {
	data, attachments, err := encode(event, sio.Reserved, args)
	if err != nil {
		return err
	}
	m := b.message(nodewire.Broadcast)
	m.Flags, m.Data, m.Attachments = b.flags, data, attachments
	return b.out.send(m)
}

// Join adds the sockets to rooms. Neither it nor Flush waits until that is
// done. Errors are those of Emit.
func (b Broadcast) Join(rooms ...string) error {
	m := b.message(nodewire.SocketsJoin)
	m.Rooms = rooms
	return b.out.send(m)
}

// Leave takes the sockets out of rooms, like Join.
func (b Broadcast) Leave(rooms ...string) error {
	m := b.message(nodewire.SocketsLeave)
	m.Rooms = rooms
	return b.out.send(m)
}

// Disconnect disconnects the sockets, like Join. With close, their connections
// are closed, too.
func (b Broadcast) Disconnect(close bool) error {
	m := b.message(nodewire.DisconnectSockets)
	m.Close = close
	return b.out.send(m)
}

func (b Broadcast) message(t nodewire.Type) *nodewire.Message {
	return &nodewire.Message{Type: t, NSP: b.nsp, Target: b.target}
}

// encode makes an event of its name and arguments.
func encode(event string, reserved func(string) bool, args []any) (data []byte, attachments [][]byte, err error) {
	if reserved(event) {
		return nil, nil, fmt.Errorf("%w: %q", ErrReserved, event)
	}
	if n := len(args); n > 0 && reflect.ValueOf(args[n-1]).Kind() == reflect.Func {
		return nil, nil, ErrAck
	}
	data, attachments, err = sio.Encode(append([]any{event}, args...)...)
	if err != nil {
		return nil, nil, fmt.Errorf("socketeer: event %q: %w", event, err)
	}
	return data, attachments, nil
}
