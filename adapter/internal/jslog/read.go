package jslog

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// checkEvery is how often a reader that hears nothing looks whether there is
// something; and recheckEvery, when that was not answered.
const (
	checkEvery   = 10 * time.Second
	recheckEvery = time.Second
)

// reader reads the stream from where it ended when the log was made, and hands
// on what it reads. It holds its place through errors and outages, and finds out
// when messages went by that it never saw.
type reader struct {
	l *Log

	// The goroutine's own.
	numbers map[string]uint64 // of the newest record of each node
	stored  int64             // when the batch at last was, 0 if it is not known

	mu      sync.Mutex // guards the rest
	born    int64      // when the stream was made
	last    uint64     // the newest batch that has been handed on
	next    chan struct{}
	waiting int
	late    error // why nothing can be read at present
	from    *source

	silent lapse // of the stream's leader
}

// start finds the stream's end.
func (r *reader) start(ctx context.Context) error {
	info, err := r.l.info(ctx)
	if err != nil {
		return err
	}
	r.numbers = make(map[string]uint64)
	r.place(info.Created.UnixNano(), info.State.LastSeq)
	return nil
}

// place moves the reader.
func (r *reader) place(born int64, last uint64) {
	r.mu.Lock()
	r.born, r.last, r.stored = born, last, 0
	r.mu.Unlock()
	r.l.history.Begin(endOf(last))
	r.l.order.reached(last)
}

// run reads until ctx ends.
func (r *reader) run(ctx context.Context) {
	var watching sync.WaitGroup
	defer watching.Wait()
	watching.Go(func() { r.watch(ctx) })
	for pause := minPause; ; pause = min(2*pause, maxPause) {
		before := r.position()
		err := r.follow(ctx)
		if ctx.Err() != nil {
			return
		}
		r.l.count.resumed.Add(1)
		r.l.log.Debug("jetstream: reading begins anew", "err", err)
		if r.position() > before {
			pause = minPause
		}
		if !sleep(ctx, jitter(pause)) {
			return
		}
	}
}

// follow reads until there is an error.
func (r *reader) follow(ctx context.Context) error {
	s, err := r.open(ctx)
	if err != nil {
		if ctx.Err() == nil {
			r.state(nil, err)
			r.l.troubled("the stream cannot be read", err)
			r.l.suspect()
		}
		return err
	}
	defer s.close()
	r.state(s, nil)
	for {
		b, err := s.next(ctx)
		if err != nil {
			r.state(nil, nil)
			r.l.suspect()
			return err
		}
		r.take(b)
	}
}

// open looks whether the stream is what it was, and begins to read.
func (r *reader) open(ctx context.Context) (*source, error) {
	info, err := r.l.info(ctx)
	if errors.Is(err, jetstream.ErrStreamNotFound) { // a server that keeps it in memory has been replaced
		ask, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		if err = r.l.setup(ask); err == nil {
			info, err = r.l.info(ctx)
		}
	}
	if err == nil {
		err = r.verify(ctx, info)
	}
	if err != nil {
		return nil, fmt.Errorf("socketeer: jetstream: the stream does not answer: %w", err)
	}
	return r.l.open(ctx, r.position()+1)
}

// verify looks whether messages were removed before they were read, or the
// stream is not the one it was. Of another one everything is read.
func (r *reader) verify(ctx context.Context, info *jetstream.StreamInfo) error {
	born, state := info.Created.UnixNano(), &info.State
	r.mu.Lock()
	same, last := born == r.born && state.LastSeq >= r.last, r.last
	r.mu.Unlock()
	if same && r.stored != 0 && last >= state.FirstSeq {
		var err error
		if same, err = r.present(ctx, last); err != nil {
			return err
		}
	}
	if !same {
		r.l.deliver.Lock()
		r.place(born, max(state.FirstSeq, 1)-1)
		r.l.own.Store(0)
		r.l.deliver.Unlock()
		r.gap("the stream is not what it was, jetstream lost messages", 0)
		return nil
	}
	r.skip(state.FirstSeq)
	return nil
}

// skip notes that what is between the place and a sequence is not there.
func (r *reader) skip(first uint64) {
	last := r.position()
	if first <= last+1 {
		return
	}
	r.gap("messages were removed before they were read", first-last-1)
	r.l.deliver.Lock()
	defer r.l.deliver.Unlock()
	r.reached(first - 1)
}

// present looks whether the newest batch that was read still is there.
func (r *reader) present(ctx context.Context, last uint64) (bool, error) {
	ask, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	m, err := r.l.stream.Load().GetMsg(ask, last)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return false, nil
	}
	return err == nil && m.Time.UnixNano() == r.stored, err
}

// gap notes that messages are missing here. What they were is not known: nobody
// recovers across it, on this node or another.
func (r *reader) gap(what string, count uint64) {
	r.l.count.gaps.Add(1)
	r.l.count.lost.Add(count)
	r.l.log.Error("messages of other nodes were missed: "+what, "stream", r.l.cfg.logStream(), "batches", count)
	r.l.deliver.Lock()
	defer r.l.deliver.Unlock()
	r.l.markGap()
}

// reached says that a batch has been handed on. With Log.deliver held.
func (r *reader) reached(seq uint64) {
	r.mu.Lock()
	r.last = seq
	if r.waiting > 0 {
		close(r.next)
		r.next = make(chan struct{})
		r.waiting = 0
	}
	r.mu.Unlock()
	r.l.order.reached(seq)
}

// wait returns when everything up to a sequence has been handed on, or with
// ctx's cause.
func (r *reader) wait(ctx context.Context, seq uint64) error {
	for {
		r.mu.Lock()
		done, next := seq <= r.last, r.next
		if !done {
			r.waiting++
		}
		r.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-next:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// position returns the newest batch that has been handed on.
func (r *reader) position() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last
}

// birth returns when the stream was made.
func (r *reader) birth() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.born
}

func (r *reader) state(s *source, err error) {
	r.mu.Lock()
	r.from, r.late = s, err
	r.mu.Unlock()
}

// ready returns why nothing can be read, or nil.
func (r *reader) ready() error {
	r.mu.Lock()
	late := r.late
	r.mu.Unlock()
	if err := r.silent.longer(silentTime); late == nil && err != nil {
		return fmt.Errorf("socketeer: jetstream: the stream has no leader: %w", err)
	}
	return late
}

// again has reading begin anew.
func (r *reader) again() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.from != nil {
		r.from.msgs.Stop()
	}
}

// watch looks from time to time whether the stream has something that does not
// come, and whether it has a leader.
func (r *reader) watch(ctx context.Context) {
	var end, at uint64
	for pause := checkEvery; sleep(ctx, jitter(pause)); {
		now := r.position()
		if now < end && now == at {
			r.again()
		}
		end, at, pause = 0, now, recheckEvery
		info, err := r.l.info(ctx)
		r.silent.note(err)
		if err == nil {
			end, pause = info.State.LastSeq, checkEvery
		}
	}
}
