package redisstream

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/redis/rueidis"

	"github.com/socketeer-io/socketeer/adapter"
	"github.com/socketeer-io/socketeer/adapter/internal/askonce"
	"github.com/socketeer-io/socketeer/adapter/internal/nodepeers"
	"github.com/socketeer-io/socketeer/adapter/internal/unkept"
	"github.com/socketeer-io/socketeer/internal/nodewire"
)

// stream is one stream of Redis and what this node does with it: it writes its
// namespaces' messages and reads everybody's.
type stream struct {
	c     *Cluster
	name  string
	o     *Options
	log   *slog.Logger
	redis rueidis.Client
	count *counters

	write writer
	read  reader

	// deliver is held while something of the stream is handed to a namespace,
	// so that it all is in one order. It guards afters and their size.
	deliver    sync.Mutex
	afters     []*afterwards
	afterBytes int
	pending    *unkept.Queue[*appended]  // of the messages to be kept; deliver guards what it says
	end        *askonce.Question[offset] // the id of the newest entry

	ctx     context.Context //nolint:containedctx // ends with the stream
	cancel  context.CancelFunc
	writing sync.WaitGroup
	wg      sync.WaitGroup
}

// openStream finds the stream's end and begins to read from there.
func (c *Cluster) openStream(ctx context.Context, name string) (*stream, error) {
	s := &stream{c: c, name: name, o: &c.o, log: c.log, redis: c.redis, count: &c.count}
	s.write = writer{s: s, wake: make(chan struct{}, 1)}
	s.read.s = s
	s.pending = unkept.New[*appended]()
	s.end = askonce.New(s.newest)
	if err := s.read.start(ctx); err != nil {
		return nil, err
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.wg.Go(func() { s.read.run(s.ctx) })
	s.writing.Go(func() { s.write.run(s.ctx) })
	s.wg.Go(s.expireLoop)
	return s, nil
}

// close writes what is queued, unless ctx ends, and ends the goroutines.
func (s *stream) close(ctx context.Context) {
	s.write.close()
	stop := context.AfterFunc(ctx, s.cancel)
	s.writing.Wait()
	stop()
	s.cancel()
	s.wg.Wait()
	s.deliver.Lock()
	defer s.deliver.Unlock()
	for _, a := range s.pending.All() {
		s.count.unkept.Add(1)
		a.kept("")
	}
	for _, a := range s.afters {
		a.timer.Stop()
	}
}

// entry hands on an entry of the stream. It is called by the reader only, with
// deliver held.
func (s *stream) entry(id offset, e rueidis.XRangeEntry) {
	f := e.FieldValues
	s.count.read.Add(1)
	uid, nsp := f["uid"], f["nsp"]
	own := uid == s.c.uid
	if nsp == "" {
		if f["type"] == gapType { // of everything
			for _, ns := range s.c.onStream(s) {
				ns.history.Gapped(id, 0)
			}
		}
		return
	}
	if f["type"] != gapType && s.read.again(uid, f[fieldSeq]) {
		s.count.repeated.Add(1)
		return
	}
	ns := s.c.lookup(nsp)
	if own {
		s.ownEntry(ns, id, e)
		return
	}
	if ns == nil {
		return
	}
	if f["type"] == gapType {
		ns.history.Gapped(id, 0)
		return
	}
	m, err := nodewire.DecodeStreamEntry(f)
	if err != nil {
		s.c.ignored("id", e.ID, err)
		return
	}
	ns.receive(m, id, e.ID)
}

// ownEntry is what comes back of what this node wrote: now is the turn of those
// who wait for its offset.
func (s *stream) ownEntry(ns *namespace, id offset, e rueidis.XRangeEntry) {
	f := e.FieldValues
	seq := number(f[fieldSeq])
	if f["type"] == gapType {
		if ns != nil {
			ns.history.Gapped(id, seq)
		}
		return
	}
	mine := s.back(seq)
	switch {
	case mine != nil:
		m := *mine.m
		m.Offset = e.ID
		mine.ns.history.add(id, &m)
		s.count.kept.Add(1)
		mine.kept(e.ID)
	case ns != nil && f["type"] == broadcastType && ns.history.logging(): // it came too late to be kept, and others have it
		if m, err := nodewire.DecodeStreamEntry(f); err == nil && storable(m) {
			ns.history.add(id, toMessage(m, e.ID))
		}
	}
}

// broken notes that entries of the stream were missed: for the clients of all
// namespaces here, and for those of other nodes, which may not have noticed.
func (s *stream) broken() {
	s.deliver.Lock()
	defer s.deliver.Unlock()
	for _, ns := range s.c.onStream(s) {
		if ns.history.logging() {
			ns.markGap()
		}
	}
}

// receive hands a message of another node to the namespace. With deliver held.
func (ns *namespace) receive(m *nodewire.Message, id offset, text string) {
	if !storable(m) {
		text = ""
	}
	out := toMessage(m, text)
	if out == nil {
		return
	}
	if text != "" {
		ns.history.add(id, out) // first: who joins after the hand-over must find it
	}
	ns.handle(m, out)
}

// storable reports whether a client that missed the message gets it when it
// comes back.
func storable(m *nodewire.Message) bool {
	return m.Type == nodewire.Broadcast && m.RequestID == "" && !m.Flags.Volatile
}

// toMessage returns what a namespace understands, or nil. Questions do not
// come by the stream.
func toMessage(m *nodewire.Message, offset string) *adapter.Message {
	out, ok := nodepeers.FromWire(m)
	if !ok || out.Kind == adapter.Fetch {
		return nil
	}
	out.Offset = offset
	return out
}

func jitter(d time.Duration) time.Duration {
	return d - time.Duration(rand.Int64N(int64(d)/4+1))
}

// sleep reports false when ctx ended before d had passed.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
