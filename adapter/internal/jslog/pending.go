package jslog

import (
	"time"

	"github.com/socketeer-io/socketeer/adapter"
)

// keepGrain is the least time between two times of giving up messages, so that
// they go in batches.
const keepGrain = 20 * time.Millisecond

// appended is a message, or something to be done in its turn.
type appended struct {
	nsp    string
	m      *adapter.Message
	kept   func(offset string)
	number uint64 // 0: a turn
	at     time.Time
	do     func(at uint64)
}

// InTurn does something of size bytes after all that was appended before has
// been kept or given up: before it returns if that is so, else later. It is told
// the sequence of what of this node was kept last. If too much waits, that is
// counted.
func (l *Log) InTurn(size int, do func(at uint64)) error {
	waits, fits := l.pending.Follow(&appended{do: do, at: time.Now()}, itemOverhead+size, l.cfg.BacklogBytes)
	if !fits {
		l.count.dropBacklog.Add(1)
		return errBacklog
	}
	if !waits {
		do(l.own.Load())
	}
	return nil
}

// turns does what waits behind nothing any more. With deliver held.
func (l *Log) turns() {
	for a, ok := l.pending.Front(); ok && a.number == 0; a, ok = l.pending.Front() {
		a.do(l.own.Load())
		l.pending.Pop()
	}
}

// back is called when a record of this node has been read. What was written
// before it and has not been read is lost. It returns the message, nil if it
// has been given up. With deliver held.
func (l *Log) back(number uint64) *appended {
	for {
		l.turns()
		a, ok := l.pending.Front()
		switch {
		case !ok || a.number > number:
			return nil
		case a.number == number:
			return a
		}
		l.abandon(a)
		l.pending.Pop()
	}
}

// abandon gives up a message that was to be kept. With deliver held.
func (l *Log) abandon(a *appended) {
	l.count.unkept.Add(1)
	a.kept("")
	l.markGap()
}

// giveUp ends everything, when the log does.
func (l *Log) giveUp(list []*appended) {
	for _, a := range list {
		if a.number > 0 {
			l.count.unkept.Add(1)
			a.kept("")
		} else {
			a.do(l.own.Load())
		}
	}
}

// expireLoop gives up what has waited too long, here and beside the stream.
func (l *Log) expireLoop() {
	for {
		wait := l.order.due()
		if a, ok := l.pending.Front(); ok {
			wait = min(wait, time.Until(a.at.Add(l.cfg.KeepTimeout)))
		}
		if wait > 0 {
			t := time.NewTimer(wait + keepGrain)
			select {
			case <-t.C:
			case <-l.pending.Wake():
			case <-l.order.wake:
			case <-l.ctx.Done():
				t.Stop()
				return
			}
			t.Stop()
			continue
		}
		l.deliver.Lock()
		late := time.Now().Add(-l.cfg.KeepTimeout)
		for a, ok := l.pending.Front(); ok && a.at.Before(late); a, ok = l.pending.Front() {
			if a.number == 0 {
				a.do(l.own.Load())
			} else {
				l.abandon(a)
			}
			l.pending.Pop()
		}
		l.turns()
		l.order.run(true)
		l.deliver.Unlock()
	}
}
