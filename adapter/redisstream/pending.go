package redisstream

import (
	"time"

	"github.com/socketeer-io/socketeer/adapter"
)

// keepGrain is the least time between two times of giving up messages, so that
// they go in batches.
const keepGrain = 20 * time.Millisecond

// appended is a message that was written to a stream to be kept and has not come
// back.
type appended struct {
	ns   *namespace
	m    *adapter.Message
	kept func(offset string)
	seq  uint64
	at   time.Time
}

// back is called when an entry of this node has been read. What was written
// before it and has not been read is lost. It returns the message, nil if it has
// been given up. With deliver held.
func (s *stream) back(seq uint64) *appended {
	for {
		a, ok := s.pending.Front()
		if !ok || a.seq > seq {
			return nil
		}
		s.pending.Pop()
		if a.seq == seq {
			return a
		}
		s.abandon(a)
	}
}

// abandon gives up a message that was to be kept. With deliver held.
func (s *stream) abandon(a *appended) {
	s.count.unkept.Add(1)
	a.kept("")
	a.ns.markGap()
}

// expireLoop gives up what has waited too long to be kept.
func (s *stream) expireLoop() {
	for {
		a, ok := s.pending.Front()
		if !ok {
			select {
			case <-s.pending.Wake():
				continue
			case <-s.ctx.Done():
				return
			}
		}
		if wait := time.Until(a.at.Add(s.o.KeepTimeout)); wait > 0 {
			if !sleep(s.ctx, wait+keepGrain) {
				return
			}
			continue
		}
		s.deliver.Lock()
		late := time.Now().Add(-s.o.KeepTimeout)
		for a, ok := s.pending.Front(); ok && a.at.Before(late); a, ok = s.pending.Front() {
			s.pending.Pop()
			s.abandon(a)
		}
		s.deliver.Unlock()
	}
}
