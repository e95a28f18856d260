package cluster

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/tinylib/msgp/msgp"

	"github.com/socketeer-io/socketeer/adapter"
	"github.com/socketeer-io/socketeer/internal/msgread"
)

// SharedLog keeps what all nodes send in one order, outside of them: what
// [Config].Log takes. Package adapter/nats has one, of JetStream. A node gives it
// the bodies of its messages and gets everybody's back in that order, its own by
// the function that it has given with them. What the methods promise beyond that
// is what [adapter.Log] does.
type SharedLog interface {
	// Start begins to hand over. Decode reads a body: namespace, message, and
	// the fence to wait for or 0; gone says that a node is known to have ended.
	Start(decode func(body []byte) (nsp string, m *adapter.Message, fence uint64, err error), gone func(incarnation string) bool)
	Close(ctx context.Context)
	Ready() error

	Open(nsp string, enter func(func()) bool, handle func(*adapter.Message))
	CloseSpace(nsp string)
	Retain(nsp string, d time.Duration)

	// Append keeps a message; fenced says that its fence is not 0. InTurn does
	// something when all of this node that was appended before is kept, and tells
	// how far that reaches.
	Append(nsp string, m *adapter.Message, body []byte, fenced bool, kept func(offset string)) error
	InTurn(size int, do func(at uint64)) error
	// When does something when what is kept has been handed over as far, and
	// Passed says that a fence has come.
	When(sender string, at uint64, size int, do func()) bool
	Passed(sender, nsp string, fence uint64)

	Newer(a, b string) bool
	SaveSession(ctx context.Context, nsp string, retain time.Duration, s *adapter.Session) error
	DropSession(ctx context.Context, nsp, pid string) error
	TakeSession(ctx context.Context, nsp, pid string) (*adapter.Session, error)
	Missed(ctx context.Context, nsp string, s *adapter.Session, offset string) ([]*adapter.Message, error)
}

// streamed is the adapter of a namespace whose messages are kept by a SharedLog.
// What is not kept goes to the nodes directly, with the place in the log that it
// comes after. The first message that is kept after some of those carries a
// fence, a number that is sent to the nodes behind them.
type streamed struct {
	*namespace
	log    SharedLog
	retain atomic.Int64
	beside atomic.Bool // something was sent directly since the last fence
	fences atomic.Uint64
}

var (
	_ adapter.Adapter = (*streamed)(nil)
	_ adapter.Log     = (*streamed)(nil)
)

// Retain implements [adapter.Log].
func (a *streamed) Retain(d time.Duration) {
	a.retain.Store(int64(d))
	a.log.Retain(a.name, d)
}

// Append implements [adapter.Log].
func (a *streamed) Append(m *adapter.Message, kept func(offset string)) error {
	if a.isClosed() {
		return errAdapterClosed
	}
	if err := checkOp(m); err != nil {
		return err
	}
	body := appendPlaced(make([]byte, 0, 128+len(a.name)+len(m.Data)), a.name, m)
	if size, limit := headerLen+len(body), a.node.cfg.MaxMessage; size > limit {
		return &TooLargeError{Size: size, Limit: limit}
	}
	var fence uint64
	if a.beside.Swap(false) {
		fence = a.fences.Add(1)
		if err := a.log.InTurn(0, func(uint64) { a.sendFence(fence) }); err != nil {
			a.beside.Store(true)
			return err
		}
		setPosition(body, fence)
	}
	return a.log.Append(a.name, m, body, fence > 0, kept)
}

// sendFence tells the nodes that what has come before it precedes what is kept
// with this fence.
func (a *streamed) sendFence(fence uint64) {
	n := a.node
	b := appendHeader(make([]byte, 0, headerLen+16+len(a.name)), frameFence, n.id.Incarnation)
	b = msgp.AppendArrayHeader(b, 2)
	b = msgp.AppendString(b, a.name)
	b = msgp.AppendUint64(b, fence)
	if err := n.send(b, a.subject); err != nil {
		n.log.Debug("fence not sent", "nsp", a.name, "err", err)
	}
}

// Publish implements [adapter.Adapter], behind what was appended before.
func (a *streamed) Publish(m *adapter.Message) error {
	if a.isClosed() {
		return errAdapterClosed
	}
	if err := checkOp(m); err != nil {
		return err
	}
	frame := appendHeader(make([]byte, 0, headerLen+128+len(m.Data)), frameOp, a.node.id.Incarnation)
	frame = appendPlaced(frame, a.name, m)
	if len(frame) > a.node.cfg.MaxMessage {
		return &TooLargeError{Size: len(frame), Limit: a.node.cfg.MaxMessage}
	}
	var sent atomic.Pointer[error]
	err := a.log.InTurn(len(frame), func(at uint64) {
		setPosition(frame, at)
		err := a.publishOp(frame, &m.Target)
		sent.Store(&err)
	})
	a.beside.Store(true)
	if p := sent.Load(); p != nil {
		return *p
	}
	return err
}

// Request implements [adapter.Adapter], behind what was appended before.
func (a *streamed) Request(ctx context.Context, m *adapter.Message, each func(adapter.Response)) error {
	turn := make(chan uint64, 1)
	if err := a.log.InTurn(0, func(at uint64) { turn <- at }); err != nil {
		return err
	}
	var at uint64
	select {
	case at = <-turn:
	case <-ctx.Done():
	case <-a.node.ctx.Done():
	}
	a.beside.Store(true)
	return a.request(ctx, m, at, each)
}

// Close implements [adapter.Adapter].
func (a *streamed) Close() error {
	a.log.CloseSpace(a.name)
	return a.namespace.Close()
}

// Newer implements [adapter.Log].
func (a *streamed) Newer(x, y string) bool { return a.log.Newer(x, y) }

// SaveSession implements [adapter.Log].
func (a *streamed) SaveSession(ctx context.Context, s *adapter.Session) error {
	return a.log.SaveSession(ctx, a.name, time.Duration(a.retain.Load()), s)
}

// DropSession implements [adapter.Log].
func (a *streamed) DropSession(ctx context.Context, pid string) error {
	return a.log.DropSession(ctx, a.name, pid)
}

// TakeSession implements [adapter.Log].
func (a *streamed) TakeSession(ctx context.Context, pid string) (*adapter.Session, error) {
	return a.log.TakeSession(ctx, a.name, pid)
}

// Missed implements [adapter.Log].
func (a *streamed) Missed(ctx context.Context, s *adapter.Session, offset string) ([]*adapter.Message, error) {
	return a.log.Missed(ctx, a.name, s, offset)
}

// decodeShared reads the body of a message that a SharedLog keeps.
func decodeShared(body []byte) (nsp string, m *adapter.Message, fence uint64, err error) {
	r := reader{msgread.Reader{Rest: body}}
	extra := r.Record(opFields)
	nsp = r.Text()
	m = r.op()
	fence = r.readPosition(extra)
	return nsp, m, fence, r.Err
}

// handleInOrder handles a frame when what is kept has come as far as its sender
// says. One that cannot wait is dropped: the log counts it.
func (n *Node) handleInOrder(it item) {
	sender, at := string(it.h.sender), it.at()
	ok := n.cfg.Log.When(sender, at, len(it.body), func() { n.carryOut(it) })
	if !ok {
		n.refuseItem(it.h, it.body)
	}
}

// onFence takes a fence, in the order of what its sender sends.
func (n *Node) onFence(it item) bool {
	r := reader{msgread.Reader{Rest: it.body}}
	r.Record(2)
	nsp := r.Text()
	if fence := r.Uint64(); r.Err == nil {
		n.cfg.Log.Passed(string(it.h.sender), nsp, fence)
	}
	return r.Err == nil
}

// at returns the place in the log that a frame comes after, 0 if it tells none.
func (it *item) at() uint64 {
	r := reader{msgread.Reader{Rest: it.body}}
	switch it.h.kind {
	case frameRequest:
		r.Record(3)
		r.Uint64()
		r.Int64()
	case frameOp:
	default:
		return 0
	}
	extra := r.Record(opFields)
	r.Skip(opFields)
	return r.readPosition(extra)
}
