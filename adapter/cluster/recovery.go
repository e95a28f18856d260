package cluster

import (
	"context"
	"encoding/binary"
	"sync/atomic"
	"time"

	"github.com/tinylib/msgp/msgp"

	"github.com/socketeer-io/socketeer/adapter"
	"github.com/socketeer-io/socketeer/adapter/internal/peerlog"
	"github.com/socketeer-io/socketeer/internal/msgread"
)

// DefaultLogBytes bounds what a node keeps of its own and of other nodes'
// messages for clients that come back, unless [Config].LogBytes says otherwise.
const DefaultLogBytes = 128 << 20

// LogStats are counters of the log; see [Config].Recovery. Ints that tell how it
// is: Bytes, Sessions, SessionBytes, Waiting (bytes that wait to be kept),
// Replicas (nodes that keep what this one sends) and InSync (of those, the ones
// that are waited for). And uint64s since the start: Appended, Batches, Resends,
// OutOfSync, LinkBreaks, Repeated, Repaired, Rounds, Reads, Served, Taken, Holes
// (times messages are missing between others), Trimmed and SessionsTrimmed
// (forgotten early).
type LogStats = peerlog.Stats

// position is the last element of the op of a message that is kept, a msgpack
// uint64 of fixed size, so that it can be put in place when it is known.
const positionLen = 9

func appendPosition(b []byte) []byte { return append(b, 0xcf, 0, 0, 0, 0, 0, 0, 0, 0) }

func setPosition(body []byte, pos uint64) {
	binary.BigEndian.PutUint64(body[len(body)-positionLen+1:], pos)
}

// newLog makes the node's log.
func (n *Node) newLog() *peerlog.Log {
	return peerlog.New(peerlog.Config{
		Self:  n.id.Incarnation,
		Peers: func() []string { return n.view.Load().incarnations() },
		Name: func(inc string) string {
			if name, ok := n.view.Load().name[inc]; ok {
				return name
			}
			return inc
		},
		Send: func(to string, frame []byte) error {
			b := appendHeader(make([]byte, 0, headerLen+len(frame)), frameLog, n.id.Incarnation)
			return n.sendNode(append(b, frame...), to)
		},
		Drain:        n.drain,
		Decode:       decodeKept,
		MaxFrame:     n.cfg.MaxMessage - headerLen,
		Bytes:        n.cfg.LogBytes,
		SessionBytes: n.cfg.LogBytes,
		Logger:       n.log,
	})
}

func (v *view) incarnations() []string {
	list := make([]string, 0, len(v.peers))
	for _, p := range v.peers {
		list = append(list, p.incarnation)
	}
	return list
}

// decodeKept reads the body of a message that was kept.
func decodeKept(body []byte) (*adapter.Message, error) {
	r := reader{msgread.Reader{Rest: body}}
	extra := r.Record(opFields)
	r.TextBytes()
	m := r.op()
	r.Skip(extra)
	return m, r.Err
}

// drain returns when the messages of sender that have arrived so far have been
// handled, or ctx ends.
func (n *Node) drain(ctx context.Context, sender string) {
	n.in.mu.Lock()
	s := n.in.senders[sender]
	n.in.mu.Unlock()
	if s == nil {
		return
	}
	done := make(chan struct{})
	n.mark(s.lane, done)
	select {
	case <-done:
	case <-ctx.Done():
	case <-n.ctx.Done():
	}
}

// logged is the adapter of a namespace whose messages are kept.
type logged struct{ *namespace }

var (
	_ adapter.Adapter = logged{}
	_ adapter.Log     = logged{}
)

// Retain implements [adapter.Log].
func (a logged) Retain(d time.Duration) { a.node.keeps.Retain(a.name, d) }

// Append implements [adapter.Log].
func (a logged) Append(m *adapter.Message, kept func(offset string)) error {
	if a.isClosed() {
		return errAdapterClosed
	}
	if err := checkOp(m); err != nil {
		return err
	}
	n := a.node
	size := headerLen + 128 + len(a.name) + len(m.Data)
	frame := appendHeader(make([]byte, 0, size), frameOp, n.id.Incarnation)
	frame = appendPlaced(frame, a.name, m)
	if len(frame) > n.cfg.MaxMessage {
		return &TooLargeError{Size: len(frame), Limit: n.cfg.MaxMessage}
	}
	body := frame[headerLen:]
	return n.keeps.Append(a.name, body, func(pos uint64) { setPosition(body, pos) }, func() {
		if err := a.publishOp(frame, &m.Target); err != nil { // counted; those who miss it can recover
			n.log.Debug("kept, but not sent", "nsp", a.name, "err", err)
		}
	}, kept)
}

// Publish implements [adapter.Adapter], behind what was appended before.
func (a logged) Publish(m *adapter.Message) error {
	if a.isClosed() {
		return errAdapterClosed
	}
	if err := checkOp(m); err != nil {
		return err
	}
	var sent atomic.Pointer[error] // its turn may come later
	err := a.node.keeps.InTurn(len(m.Data), func() {
		err := a.namespace.Publish(m)
		sent.Store(&err)
	})
	if p := sent.Load(); p != nil {
		return *p
	}
	return err
}

// Request implements [adapter.Adapter], behind what was appended before.
func (a logged) Request(ctx context.Context, m *adapter.Message, each func(adapter.Response)) error {
	turn := make(chan struct{})
	if err := a.node.keeps.InTurn(0, func() { close(turn) }); err != nil {
		return err
	}
	select {
	case <-turn:
	case <-ctx.Done():
	case <-a.node.ctx.Done():
	}
	return a.namespace.Request(ctx, m, each)
}

// Join implements [adapter.Adapter]. The offsets that this node gives from then
// on tell of all that was sent to the room before, though not to this node: a
// client that joins now has not missed it.
func (a logged) Join(ctx context.Context, room string) error {
	if a.rooms.Confirmed(room) {
		return a.namespace.Join(ctx, room)
	}
	if err := a.namespace.Join(ctx, room); err != nil {
		return err
	}
	return a.catch(ctx)
}

// catch brings the offsets up to date. That it fails makes clients get what was
// sent before they joined, should they come back, and nothing worse.
func (a logged) catch(ctx context.Context) error {
	if err := a.node.keeps.Catch(ctx, a.name); err != nil {
		if ctx.Err() != nil {
			return &adapter.PartialError{Cause: err}
		}
		a.node.log.Debug("offsets are not up to date", "nsp", a.name, "err", err)
	}
	return nil
}

// Close implements [adapter.Adapter].
func (a logged) Close() error {
	a.node.keeps.CloseSpace(a.name)
	return a.namespace.Close()
}

// Newer implements [adapter.Log].
func (a logged) Newer(x, y string) bool { return peerlog.Newer(x, y) }

// SaveSession implements [adapter.Log].
func (a logged) SaveSession(ctx context.Context, s *adapter.Session) error {
	return a.node.keeps.SaveSession(ctx, a.name, s)
}

// DropSession implements [adapter.Log].
func (a logged) DropSession(ctx context.Context, pid string) error {
	return a.node.keeps.DropSession(ctx, a.name, pid)
}

// TakeSession implements [adapter.Log].
func (a logged) TakeSession(ctx context.Context, pid string) (*adapter.Session, error) {
	return a.node.keeps.TakeSession(ctx, a.name, pid)
}

// Missed implements [adapter.Log].
func (a logged) Missed(ctx context.Context, s *adapter.Session, offset string) ([]*adapter.Message, error) {
	return a.node.keeps.Missed(ctx, a.name, s, offset)
}

// handleOp hands a message to its namespace: by the log, if it is kept.
func (n *Node) handleOp(a *namespace, sender string, m *adapter.Message, pos uint64) bool {
	return a.deliver(func() {
		if pos == 0 || n.keeps == nil {
			a.local.Handle(m)
			return
		}
		n.keeps.Deliver(a.name, sender, pos, m, a.local.Handle)
	})
}

// readPosition reads the position of a message that is kept; 0 if it is not.
func (r *reader) readPosition(extra int) (pos uint64) {
	if extra > 0 {
		if pos = r.Uint64(); r.Err != nil {
			return 0
		}
		r.Skip(extra - 1)
	}
	return pos
}

// appendPlaced is appendOp with a position behind, which is not known yet.
func appendPlaced(b []byte, nsp string, m *adapter.Message) []byte {
	at := len(b)
	b = appendOp(b, nsp, m)
	b[at] = msgp.AppendArrayHeader(nil, opFields+1)[0] // one byte for up to 15
	return appendPosition(b)
}
