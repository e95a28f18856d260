package socketeer

import (
	"errors"
	"sync"
	"sync/atomic"

	"github.com/socketeer-io/socketeer/adapter"
)

// ErrLogBehind says that an event was not sent, to nobody: more than 16 MiB of
// one namespace's events wait on this node for the log to keep them. It is
// returned by Emit and what else takes its turn behind them, only with
// [WithRecovery], and counted in RecoveryStats.Refused. The bound cannot be
// configured; adapters may have bounds of their own.
var ErrLogBehind = errors.New("socketeer: too many events wait to be kept")

// maxOutbox bounds the bytes of events of one namespace that wait for the log.
const maxOutbox = 16 << 20

// outbox keeps the order of what a namespace sends although events that are to
// be kept cannot be delivered before the log has given them their offset: what
// is sent after one of those waits behind it. While nothing waits and the log
// answers at once, everything is delivered where it is sent.
//
// Lock order: order, then whatever the log locks, then mu, then the hub's.
type outbox struct {
	log    adapter.Log
	counts *recoveryCounts

	order   sync.Mutex // held while an event is appended: the log's order is the queue's
	waiting atomic.Int64

	mu         sync.Mutex // guards the rest; held while something is delivered
	head, tail *outgoing
	bytes      int
}

// outgoing is one thing to be done in its turn.
type outgoing struct {
	next   *outgoing
	do     func(offset string)
	size   int
	offset string
	ready  bool
}

// keep has m kept and sent to the other nodes, and delivers it here, with its
// offset. With an error it is delivered nowhere: who is away could not be told
// that it is missing.
func (o *outbox) keep(m *adapter.Message, deliver func(offset string)) error {
	x := &outgoing{do: deliver, size: sizeOf(m)}
	o.order.Lock()
	defer o.order.Unlock()
	o.mu.Lock()
	ok := o.push(x)
	o.mu.Unlock()
	if !ok {
		return ErrLogBehind
	}
	kept := func(offset string) {
		if offset == "" {
			o.counts.unkept.Add(1)
		}
		o.release(x, offset)
	}
	if err := o.log.Append(m, kept); err != nil {
		o.counts.refused.Add(1)
		o.mu.Lock()
		x.do = func(string) {}
		o.mu.Unlock()
		o.release(x, "")
		return err
	}
	return nil
}

// inTurn does something when all that was sent before has been delivered: at
// once, if it has.
func (o *outbox) inTurn(size int, do func()) error {
	if o.waiting.Load() == 0 {
		do()
		return nil
	}
	o.mu.Lock()
	if o.head == nil {
		o.mu.Unlock()
		do()
		return nil
	}
	defer o.mu.Unlock()
	if !o.push(&outgoing{do: func(string) { do() }, size: size, ready: true}) {
		return ErrLogBehind
	}
	return nil
}

// push queues x, unless there is too much. With mu held.
func (o *outbox) push(x *outgoing) bool {
	if o.head != nil && o.bytes+x.size > maxOutbox {
		o.counts.refused.Add(1)
		return false
	}
	if o.head == nil {
		o.head = x
	} else {
		o.tail.next = x
	}
	o.tail = x
	o.bytes += x.size
	o.waiting.Add(1)
	return true
}

// release lets x be delivered, and what waits behind it.
func (o *outbox) release(x *outgoing, offset string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	x.offset, x.ready = offset, true
	for o.head != nil && o.head.ready {
		x := o.head
		x.do(x.offset)
		o.head = x.next
		o.bytes -= x.size
		o.waiting.Add(-1)
	}
}

// sizeOf is about how much memory m takes while it waits.
func sizeOf(m *adapter.Message) int {
	n := 256 + len(m.Data)
	for _, a := range m.Attachments {
		n += len(a)
	}
	return n
}

// inTurn is outbox.inTurn; without recovery nothing ever waits.
func (n *Namespace) inTurn(size int, do func()) error {
	if n.out == nil {
		do()
		return nil
	}
	return n.out.inTurn(size, do)
}
