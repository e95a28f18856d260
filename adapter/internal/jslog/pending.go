package jslog

import (
	"context"
	"sync"
	"time"

	"github.com/socketeer-io/socketeer/adapter"
)

// keepGrain is the least time between two times of giving up messages, so that
// they go in batches.
const keepGrain = 20 * time.Millisecond

// pending are the messages that were given to be kept and have not come back, in
// the order of their numbers, and what waits behind them. All but add and push
// are called with Log.deliver held, so that what has been taken from the front
// has been dealt with.
type pending struct {
	wake chan struct{} // capacity 1: it is not empty any more

	mu    sync.Mutex
	list  []*appended
	bytes int           // of turns
	empty chan struct{} // closed when nothing is left, if somebody waits for it
}

// appended is a message, or something to be done in its turn.
type appended struct {
	nsp    string
	m      *adapter.Message
	kept   func(offset string)
	number uint64 // 0: a turn
	at     time.Time
	do     func(at uint64)
	size   int
}

// add is called under the writer's lock, in the order of the numbers.
func (p *pending) add(a *appended) {
	p.mu.Lock()
	p.list = append(p.list, a)
	first := len(p.list) == 1
	p.mu.Unlock()
	if first {
		select {
		case p.wake <- struct{}{}:
		default:
		}
	}
}

// push adds a turn behind what waits. It is false if nothing does, and an error
// if too much does.
func (p *pending) push(a *appended, limit int) (bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.list) == 0 {
		return false, nil
	}
	if p.bytes+a.size > limit {
		return false, errBacklog
	}
	p.bytes += a.size
	p.list = append(p.list, a)
	return true, nil
}

// front returns the first one, nil if there is none.
func (p *pending) front() *appended {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.list) == 0 {
		return nil
	}
	return p.list[0]
}

// pop removes the first one, which has been dealt with.
func (p *pending) pop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.bytes -= p.list[0].size
	p.list[0] = nil
	p.list = p.list[1:]
	p.emptied()
}

// emptied tells who waits that nothing is left, if that is so. With mu held.
func (p *pending) emptied() {
	if len(p.list) > 0 {
		return
	}
	p.list = nil
	if p.empty != nil {
		close(p.empty)
		p.empty = nil
	}
}

// drained waits until nothing is left, or ctx ends.
func (p *pending) drained(ctx context.Context) {
	p.mu.Lock()
	if len(p.list) == 0 {
		p.mu.Unlock()
		return
	}
	if p.empty == nil {
		p.empty = make(chan struct{})
	}
	empty := p.empty
	p.mu.Unlock()
	select {
	case <-empty:
	case <-ctx.Done():
	}
}

// all removes everything.
func (p *pending) all() []*appended {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := p.list
	p.list, p.bytes = nil, 0
	p.emptied()
	return out
}

// of removes the messages of a namespace.
func (p *pending) of(nsp string) (out []*appended) {
	p.mu.Lock()
	defer p.mu.Unlock()
	rest := make([]*appended, 0, len(p.list))
	for _, a := range p.list {
		if a.number > 0 && a.nsp == nsp {
			out = append(out, a)
		} else {
			rest = append(rest, a)
		}
	}
	p.list = rest
	p.emptied()
	return out
}

// InTurn does something of size bytes after all that was appended before has
// been kept or given up: before it returns if that is so, else later. It is told
// the sequence of what of this node was kept last.
func (l *Log) InTurn(size int, do func(at uint64)) error {
	a := &appended{do: do, size: itemOverhead + size, at: time.Now()}
	waits, err := l.pending.push(a, l.cfg.BacklogBytes)
	if err == nil && !waits {
		do(l.own.Load())
	}
	return err
}

// turns does what waits behind nothing any more. With deliver held.
func (l *Log) turns() {
	for a := l.pending.front(); a != nil && a.number == 0; a = l.pending.front() {
		a.do(l.own.Load())
		l.pending.pop()
	}
}

// back is called when a record of this node has been read. What was written
// before it and has not been read is lost. It returns the message, nil if it
// has been given up. With deliver held.
func (l *Log) back(number uint64) *appended {
	for {
		l.turns()
		a := l.pending.front()
		switch {
		case a == nil || a.number > number:
			return nil
		case a.number == number:
			return a
		}
		l.abandon(a)
		l.pending.pop()
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
		if a := l.pending.front(); a != nil {
			wait = min(wait, time.Until(a.at.Add(l.cfg.KeepTimeout)))
		}
		if wait > 0 {
			t := time.NewTimer(wait + keepGrain)
			select {
			case <-t.C:
			case <-l.pending.wake:
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
		for a := l.pending.front(); a != nil && a.at.Before(late); a = l.pending.front() {
			if a.number == 0 {
				a.do(l.own.Load())
			} else {
				l.abandon(a)
			}
			l.pending.pop()
		}
		l.turns()
		l.order.run(true)
		l.deliver.Unlock()
	}
}
