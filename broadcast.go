package socketeer

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/socketeer-io/socketeer/adapter"
	"github.com/socketeer-io/socketeer/engineio"
	"github.com/socketeer-io/socketeer/protocol/sio"
)

// Emitter is what an event can be sent with: a [Server], a [Namespace], a
// [Broadcast], a [Socket] and others.
type Emitter interface {
	Emit(event string, args ...any) error
}

// Broadcaster starts broadcasts to the sockets of a namespace. It is part of
// [Namespace], [Dynamic] and [Server].
type Broadcaster struct {
	nsp     *Namespace
	dynamic *Dynamic // instead of nsp
}

func (b Broadcaster) broadcast() Broadcast { return Broadcast{from: b} }

// Emit sends an event to every socket of the namespace, on all nodes. It never
// waits for anyone. An error says that an argument cannot be encoded, or that
// the event did not leave this node: it was delivered here all the same, except
// with recovery, where an event that cannot be kept is delivered nowhere.
func (b Broadcaster) Emit(event string, args ...any) error {
	return b.broadcast().Emit(event, args...)
}

// To returns a broadcast to the sockets that are in any of the rooms. A
// socket's id is a room, too.
func (b Broadcaster) To(rooms ...string) Broadcast { return b.broadcast().To(rooms...) }

// In is To.
func (b Broadcaster) In(rooms ...string) Broadcast { return b.To(rooms...) }

// Except returns a broadcast to the sockets that are in none of the rooms.
func (b Broadcaster) Except(rooms ...string) Broadcast { return b.broadcast().Except(rooms...) }

// Local returns a broadcast to the sockets of this node.
func (b Broadcaster) Local() Broadcast { return b.broadcast().Local() }

// Volatile returns a broadcast that sockets miss whose connection is not
// writable.
func (b Broadcaster) Volatile() Broadcast { return b.broadcast().Volatile() }

// Compress returns a broadcast that may or may not be compressed.
func (b Broadcaster) Compress(compress bool) Broadcast { return b.broadcast().Compress(compress) }

// Timeout returns a broadcast whose clients have d to acknowledge.
func (b Broadcaster) Timeout(d time.Duration) Broadcast { return b.broadcast().Timeout(d) }

// All returns a broadcast to everyone, for its other operations: Sockets,
// Join, Leave, Disconnect, EmitWithAck.
func (b Broadcaster) All() Broadcast { return b.broadcast() }

// Broadcast is an operation on a set of sockets, on all nodes. It is an
// immutable value: each method returns a new one.
type Broadcast struct {
	from   Broadcaster
	target adapter.Target
	flags  adapter.Flags
	local  bool
}

// ErrDynamic says that an operation wants one namespace, not all those that
// a [Dynamic] has made.
var ErrDynamic = errors.New("socketeer: not possible on a dynamic namespace; use its children")

// To adds rooms to send to.
func (b Broadcast) To(rooms ...string) Broadcast {
	b.target.Rooms = append(slices.Clip(b.target.Rooms), rooms...)
	return b
}

// In is To.
func (b Broadcast) In(rooms ...string) Broadcast { return b.To(rooms...) }

// Except adds rooms whose sockets are left out.
func (b Broadcast) Except(rooms ...string) Broadcast {
	b.target.Except = append(slices.Clip(b.target.Except), rooms...)
	return b
}

// Local keeps the operation on this node.
func (b Broadcast) Local() Broadcast { b.local = true; return b }

// Volatile lets sockets miss the event whose connection is not writable.
func (b Broadcast) Volatile() Broadcast { b.flags.Volatile = true; return b }

// Compress says whether the event is worth compressing. Default true.
func (b Broadcast) Compress(compress bool) Broadcast { b.flags.NoCompress = !compress; return b }

// Timeout sets how long EmitWithAck waits, beside its context.
func (b Broadcast) Timeout(d time.Duration) Broadcast { b.flags.Timeout = d; return b }

// namespaces are those the operation is for.
func (b Broadcast) namespaces() []*Namespace {
	if b.from.dynamic != nil {
		return slices.Collect(b.from.dynamic.Namespaces())
	}
	return []*Namespace{b.from.nsp}
}

func (b Broadcast) one() (*Namespace, error) {
	if b.from.nsp == nil {
		return nil, ErrDynamic
	}
	return b.from.nsp, nil
}

func encodeEvent(event string, args []any) (data []byte, attachments [][]byte, err error) {
	all, err := eventArgs(event, args)
	if err != nil {
		return nil, nil, err
	}
	data, attachments, err = sio.AppendArgs(make([]byte, 0, sizeHint(all)), all...)
	if err != nil {
		return nil, nil, fmt.Errorf("socketeer: event %q: %w", event, err)
	}
	return data, attachments, nil
}

// encodeEventArgs is encodeEvent for one receiver: see encodeArgs.
func encodeEventArgs(p *sio.Packet, event string, args []any) (*engineio.Message, error) {
	all, err := eventArgs(event, args)
	if err != nil {
		return nil, err
	}
	m, err := encodeArgs(p, all)
	if err != nil {
		return nil, fmt.Errorf("socketeer: event %q: %w", event, err)
	}
	return m, nil
}

// eventArgs puts the name before the arguments.
func eventArgs(event string, args []any) ([]any, error) {
	if sio.Reserved(event) {
		return nil, fmt.Errorf("%w: %q", ErrReserved, event)
	}
	return append(append(make([]any, 0, 8), event), args...), nil
}

// Emit sends an event to the sockets: see [Broadcaster.Emit]. What one
// goroutine sends arrives at each socket in that order.
func (b Broadcast) Emit(event string, args ...any) error {
	data, attachments, err := encodeEvent(event, args)
	if err != nil {
		return err
	}
	m := &adapter.Message{Kind: adapter.Broadcast, Target: b.target, Flags: b.flags, Data: data, Attachments: attachments}
	for _, n := range b.namespaces() {
		if e := n.emit(m, b.local); e != nil && err == nil {
			err = e
		}
	}
	return err
}

// emit delivers a broadcast, and has the other nodes do so unless it is local.
func (n *Namespace) emit(m *adapter.Message, local bool) error {
	switch {
	case n.out == nil:
		n.deliver(m, "")
	case !local && !m.Flags.Volatile:
		return n.out.keep(m, func(offset string) { n.deliver(m, offset) })
	default:
		if err := n.out.inTurn(sizeOf(m), func() { n.deliver(m, "") }); err != nil {
			return err
		}
	}
	if local {
		return nil
	}
	return n.adapter.Publish(m)
}

// deliver sends a broadcast to this node's sockets, with the offset if it is
// kept.
func (n *Namespace) deliver(m *adapter.Message, offset string) {
	p := sio.Packet{Type: sio.Event, Namespace: n.name, Data: m.Data, Attachments: m.Attachments}
	if offset == "" {
		n.fanOut(m, encode(p), "")
		return
	}
	n.fanOut(m, encodeKept(p, offset), offset)
}

// fanOut sends msg to this node's sockets that m is for.
func (n *Namespace) fanOut(m *adapter.Message, msg *engineio.Message, offset string) {
	var f engineio.Flags
	if m.Flags.Volatile {
		f = engineio.Volatile
	}
	if m.Flags.NoCompress {
		msg.Uncompressed()
	}
	var watched []*Socket
	n.hub.Each(m.Target.Rooms, m.Target.Except, func(s *Socket) {
		if s.state.Load() != socketConnected && !s.takes(m, msg, offset) {
			return
		}
		if offset != "" && s.has(offset) {
			return
		}
		if s.outgoing.Load() != nil {
			watched = append(watched, s)
		}
		// When it fails, the client is gone, or is counted as too slow.
		_ = s.client.conn.Send(msg, f)
	})
	if len(watched) > 0 {
		name, err := sio.Packet{Data: m.Data}.Event()
		for _, s := range watched {
			if err == nil {
				s.sent(name, m.Data)
			}
		}
	}
}

// EmitWithAck sends an event and collects the acknowledgements of all sockets,
// until all have answered or left, the time of Timeout is over, or ctx ends.
// Without either bound it waits for WithRequestTimeout. When some did not
// answer, the error is an [*AckError], and the replies are returned too.
func (b Broadcast) EmitWithAck(ctx context.Context, event string, args ...any) ([]Reply, error) {
	n, err := b.one()
	if err != nil {
		return nil, err
	}
	data, attachments, err := encodeEvent(event, args)
	if err != nil {
		return nil, err
	}
	ctx, cancel := n.srv.within(ctx, b.flags.Timeout)
	defer cancel()
	flags := b.flags
	deadline, _ := ctx.Deadline()
	flags.Timeout = time.Until(deadline)
	m := &adapter.Message{Kind: adapter.Broadcast, Target: b.target, Flags: flags, Data: data, Attachments: attachments}

	var c collector
	done := make(chan struct{})
	err = n.inTurn(sizeOf(m), func() {
		n.askClients(ctx, m, func(r adapter.Response) {
			c.add(r)
			if r.Last {
				close(done)
			}
		})
	})
	if err != nil {
		return nil, err
	}
	var partial *adapter.PartialError
	if !b.local {
		if err := n.adapter.Request(ctx, m, c.add); err != nil && !errors.As(err, &partial) {
			partial = &adapter.PartialError{Cause: err}
		}
	}
	select {
	case <-done:
	case <-ctx.Done():
		if partial == nil {
			partial = &adapter.PartialError{Cause: context.Cause(ctx)}
		}
	}
	return c.result(partial)
}

// collector gathers the responses of several nodes.
type collector struct {
	mu       sync.Mutex
	expected int
	replies  []Reply
}

func (c *collector) add(r adapter.Response) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.expected += r.Count
	if r.Data != nil {
		c.replies = append(c.replies, Reply{Node: r.Node, SID: r.SID, data: r.Data, attachments: r.Attachments})
	}
}

func (c *collector) result(partial *adapter.PartialError) ([]Reply, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	replies := slices.Clone(c.replies)
	if partial == nil && len(replies) == c.expected {
		return replies, nil
	}
	e := &AckError{Expected: c.expected, Received: len(replies)}
	if partial != nil {
		e.Missing, e.Cause = partial.Missing, partial.Cause
	}
	return replies, e
}

// Sockets yields the sockets of all nodes, this one's first. When some nodes
// do not answer, the last pair has a [*PartialError].
func (b Broadcast) Sockets(ctx context.Context) iter.Seq2[RemoteSocket, error] {
	return func(yield func(RemoteSocket, error) bool) {
		n, err := b.one()
		if err != nil {
			yield(RemoteSocket{}, err)
			return
		}
		for _, s := range n.local(b.target) {
			if !yield(newRemoteSocket(n, "", s.info()), nil) {
				return
			}
		}
		if !b.local {
			n.fetch(ctx, b.target, yield)
		}
	}
}

// fetch yields what other nodes answer, as it comes in.
func (n *Namespace) fetch(ctx context.Context, t adapter.Target, yield func(RemoteSocket, error) bool) {
	ctx, cancel := n.srv.within(ctx, 0)
	defer cancel()
	responses := make(chan adapter.Response)
	result := make(chan error, 1)
	go func() {
		err := n.adapter.Request(ctx, &adapter.Message{Kind: adapter.Fetch, Target: t}, func(r adapter.Response) {
			select {
			case responses <- r:
			case <-ctx.Done():
			}
		})
		result <- err
		close(responses)
	}()
	for r := range responses {
		for _, info := range r.Sockets {
			if !yield(newRemoteSocket(n, r.Node, info), nil) {
				return
			}
		}
	}
	if err := <-result; err != nil {
		yield(RemoteSocket{}, err)
	}
}

// Join adds the sockets to rooms, on all nodes, and returns when it is done
// and the cluster knows.
func (b Broadcast) Join(ctx context.Context, rooms ...string) error {
	return b.request(ctx, &adapter.Message{Kind: adapter.Join, Target: b.target, Rooms: rooms})
}

// Leave takes the sockets out of rooms, on all nodes, and returns when it is
// done.
func (b Broadcast) Leave(ctx context.Context, rooms ...string) error {
	return b.request(ctx, &adapter.Message{Kind: adapter.Leave, Target: b.target, Rooms: rooms})
}

// Disconnect disconnects the sockets, on all nodes, and returns when it is done:
// nothing is delivered to them any more, nor from them; their disconnect handlers
// may still be running. With close, their connections are closed too.
func (b Broadcast) Disconnect(ctx context.Context, close bool) error {
	return b.request(ctx, &adapter.Message{Kind: adapter.Disconnect, Target: b.target, Close: close})
}

// request carries out an operation here and elsewhere. A *PartialError names
// nodes that did not confirm it.
func (b Broadcast) request(ctx context.Context, m *adapter.Message) error {
	var first error
	keep := func(err error) {
		if err != nil && first == nil {
			first = err
		}
	}
	for _, n := range b.namespaces() {
		ctx, cancel := n.srv.within(ctx, 0)
		done := n.carryOutInTurn(ctx, m)
		if !b.local {
			keep(n.adapter.Request(ctx, m, func(adapter.Response) {}))
		}
		keep(<-done)
		cancel()
	}
	return first
}
