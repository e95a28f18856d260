package replay

import (
	"context"
	"errors"
	"iter"
	"sync"

	"github.com/socketeer-io/socketeer/adapter"
)

// Range is what is to be read of a log: what is after From and not after To, or
// the newest part of that, or somewhat more. More than Room bytes of messages
// will not be kept.
type Range[P Position[P]] struct {
	From, To P
	Room     int
}

// Part is what was read of the log from before a history. It goes up to where
// that begins.
type Part[P Position[P]] struct {
	Start  P // before the first one of List
	Edge   Edge
	List   []Entry[P]
	Gap    P    // the newest marker of a gap
	Floor  P    // the log has no more what is not after it
	Cut    bool // there was more than fitted the room
	Passed int  // entries that were looked at

	bytes int // of what was appended
}

// Append adds an entry at the end. The oldest go when all take more than room
// bytes.
func (p *Part[P]) Append(e Entry[P], room int) {
	p.List = append(p.List, e)
	p.bytes += sizeOf(e.Message)
	for p.bytes > room {
		p.bytes -= sizeOf(p.List[0].Message)
		p.Start, p.Edge, p.Cut = p.List[0].At, Open, true
		p.List[0] = Entry[P]{}
		p.List = p.List[1:]
	}
}

// Restart empties the part: it begins at this position.
func (p *Part[P]) Restart(at P) {
	p.Start, p.Edge, p.List, p.bytes = at, Open, nil, 0
}

// Reader reads a part of a log for those who come back. The context is that of
// one of them, and an error is told to that one only: others read again.
type Reader[P Position[P]] func(ctx context.Context, r Range[P]) (Part[P], error)

// reading is who reads what is before a history, for all: one at a time.
type reading[P Position[P]] struct {
	mu     sync.Mutex
	done   chan struct{} // closed when a part has been read; nil if none is
	asking map[*P]struct{}
}

// Fetch returns what [History.Missed] does, and has read what is before the
// history if that is needed. What is read is remembered for the others who come
// back meanwhile and a while later, with any offset: the log is read once for
// all of them. An error is an [*adapter.Unrecoverable].
func (h *History[P]) Fetch(ctx context.Context, nsp string, s *adapter.Session, at P, offset string, read Reader[P]) ([]*adapter.Message, error) {
	missed, what := h.Missed(nsp, s, at, offset)
	if what != Older {
		return missed, what.err(h.TooMuch)
	}
	h.reading.enter(&at)
	defer h.reading.leave(&at)
	for what == Older {
		done, mine := h.reading.turn()
		if mine {
			if err := h.readFor(ctx, at, read); err != nil {
				return nil, err
			}
		} else {
			select {
			case <-done:
			case <-ctx.Done():
				return nil, &adapter.Unrecoverable{Reason: adapter.LogFailure, Err: context.Cause(ctx)}
			}
		}
		missed, what = h.Missed(nsp, s, at, offset)
	}
	return missed, what.err(h.TooMuch)
}

// readFor reads a part, in the turn of who had at.
func (h *History[P]) readFor(ctx context.Context, at P, read Reader[P]) error {
	defer h.reading.over()
	r, epoch, ok := h.stretch(at)
	if !ok {
		return nil
	}
	part, err := read(ctx, r)
	if err != nil {
		return err
	}
	if !h.extend(&part, at, r.To, epoch) {
		return &adapter.Unrecoverable{Reason: adapter.LogFailure, Err: errors.New("socketeer: nothing was read of the log")}
	}
	return nil
}

// turn reports whether it is the caller's turn to read, who then has to call
// over. Else done is closed when somebody else has.
func (r *reading[P]) turn() (done <-chan struct{}, mine bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if mine = r.done == nil; mine {
		r.done = make(chan struct{})
	}
	return r.done, mine
}

func (r *reading[P]) over() {
	r.mu.Lock()
	defer r.mu.Unlock()
	close(r.done)
	r.done = nil
}

func (r *reading[P]) enter(at *P) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.asking == nil {
		r.asking = make(map[*P]struct{})
	}
	r.asking[at] = struct{}{}
}

func (r *reading[P]) leave(at *P) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.asking, at)
}

// askers yields the positions that are asked for.
func (r *reading[P]) askers() iter.Seq[P] {
	return func(yield func(P) bool) {
		r.mu.Lock()
		defer r.mu.Unlock()
		for p := range r.asking {
			if !yield(*p) {
				return
			}
		}
	}
}
