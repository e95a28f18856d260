package socketeer

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/socketeer-io/socketeer/adapter"
	"github.com/socketeer-io/socketeer/engineio"
	"github.com/socketeer-io/socketeer/protocol/sio"
)

// reservedServerSide may not be emitted between servers.
var reservedServerSide = []string{"connect", "connection", "new_namespace"}

func encodeServerSide(event string, args []any) ([]byte, [][]byte, error) {
	if slices.Contains(reservedServerSide, event) {
		return nil, nil, fmt.Errorf("%w: %q", ErrReserved, event)
	}
	return sio.Encode(append([]any{event}, args...)...)
}

// ServerSideEmit raises an event on the same namespace of all other nodes. It
// does not wait for them.
func (n *Namespace) ServerSideEmit(event string, args ...any) error {
	data, attachments, err := encodeServerSide(event, args)
	if err != nil {
		return err
	}
	return n.adapter.Publish(&adapter.Message{Kind: adapter.ServerSideEmit, Data: data, Attachments: attachments})
}

// ServerSideEmitWithAck raises an event on the same namespace of all other
// nodes and collects what they acknowledge, until ctx ends (without a deadline,
// for WithRequestTimeout). When some did not answer, the error is a
// [*PartialError] that names them, and the replies of the others are returned.
func (n *Namespace) ServerSideEmitWithAck(ctx context.Context, event string, args ...any) ([]Reply, error) {
	data, attachments, err := encodeServerSide(event, args)
	if err != nil {
		return nil, err
	}
	ctx, cancel := n.srv.within(ctx, 0)
	defer cancel()
	var c collector
	err = n.adapter.Request(ctx, &adapter.Message{Kind: adapter.ServerSideEmit, Data: data, Attachments: attachments}, c.add)
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.replies), err
}

// OnServerSide registers a handler of an event that other nodes raise by
// ServerSideEmit. Events are handled one at a time.
func (n *Namespace) OnServerSide(event string, h Handler) (off func()) {
	return n.serverSide.on(event, h)
}

// maxServerSide bounds the events of other nodes that wait for handlers.
const maxServerSide = 10_000

// serverSideEvent queues an event of another node; reply is nil if that does
// not wait.
func (n *Namespace) serverSideEvent(m *adapter.Message, reply func(adapter.Response)) {
	name, err := sio.Packet{Data: m.Data}.Event()
	if err != nil {
		n.srv.o.logger.Warn("server-side event without a name", "nsp", n.name)
		return
	}
	msg := &Message{kind: kindEvent, data: m.Data, attachments: m.Attachments, event: name}
	if reply != nil {
		msg.ack.Store(ackWanted)
		msg.reply = func(data []byte, attachments [][]byte) error {
			reply(adapter.Response{Data: data, Attachments: attachments, Last: true})
			return nil
		}
	}
	n.mu.Lock()
	if n.inbox.n >= maxServerSide {
		n.mu.Unlock()
		n.srv.o.logger.Error("server-side event dropped: too many wait for their handlers", "nsp", n.name, "event", name)
		return
	}
	n.inbox.push(msg)
	start := !n.inbox.running
	n.inbox.running = true
	n.mu.Unlock()
	if start {
		n.srv.pool.run((*serverSideTask)(n))
		n.srv.pool.kick()
	}
}

// serverSideTask is a Namespace whose server-side events are handled.
type serverSideTask Namespace

func (t *serverSideTask) corked() *engineio.Conn { return nil }

func (t *serverSideTask) drain() {
	n := (*Namespace)(t)
	for {
		n.mu.Lock()
		if n.inbox.n == 0 {
			n.inbox.running = false
			n.mu.Unlock()
			return
		}
		m := n.inbox.pop()
		n.mu.Unlock()
		n.handleServerSide(m)
	}
}

func (n *Namespace) handleServerSide(m *Message) {
	t := n.serverSide.load()
	if m.WantsAck() && (t == nil || len(t.events[m.event])+len(t.any) == 0) {
		_ = m.replyWith(nil, nil) // nobody will: let the asker go
		return
	}
	tables := chain{t, nil}
	err := n.srv.protect(func() error { return tables.handle(context.Background(), m) }, "server-side event", m.event, nil)
	if err == nil {
		return
	}
	if !errors.Is(err, errInternal) {
		n.srv.o.logger.Warn("a handler failed", "event", m.event, "nsp", n.name, "err", err)
	}
	if m.WantsAck() {
		_ = m.Ack(map[string]any{"error": forClient(err).wire()}) // the asker may be gone
	}
}
