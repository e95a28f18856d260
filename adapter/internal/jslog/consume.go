package jslog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	// heartbeat of an idle consumer: two missing ones mean that it is gone.
	heartbeat  = 500 * time.Millisecond
	pullExpiry = 30 * time.Second
	// inactive is how long the server keeps a consumer that nobody reads.
	inactive = 10 * time.Second
	// readAhead bounds what is on its way from the server, in bytes.
	readAhead = 4 << 20
)

// batch is a message of the stream.
type batch struct {
	seq     uint64
	stored  int64  // when, in nanoseconds
	sender  string // incarnation
	records []record
	broken  bool // it cannot be decoded
}

// errInterrupted says that messages got lost between the server and here.
var errInterrupted = errors.New("socketeer: jetstream: the order of a consumer is interrupted")

// source reads the stream, in order and without a hole: if there is one, it ends
// with errInterrupted.
type source struct {
	l     *Log
	cons  jetstream.Consumer
	msgs  jetstream.MessagesContext
	count uint64 // the consumer's count of messages
}

// open begins to read at a sequence, or at the first message after it. The
// consumer is the server's memory of a reader: it lives on one server, and
// another takes its place when that dies.
func (l *Log) open(ctx context.Context, seq uint64) (*source, error) {
	ask, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	cons, err := l.js.CreateConsumer(ask, l.cfg.logStream(), jetstream.ConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: seq,
		AckPolicy: jetstream.AckNonePolicy, MemoryStorage: true, Replicas: 1, InactiveThreshold: inactive,
	})
	if err != nil {
		return nil, fmt.Errorf("socketeer: jetstream: no consumer: %w", err)
	}
	s := &source{l: l, cons: cons}
	s.msgs, err = cons.Messages(jetstream.PullMaxBytes(max(readAhead, 2*l.cfg.MaxPayload)),
		jetstream.PullHeartbeat(heartbeat), jetstream.PullExpiry(pullExpiry), jetstream.WithMessagesErrOnMissingHeartbeat(true))
	if err != nil {
		s.remove()
		return nil, fmt.Errorf("socketeer: jetstream: consumer: %w", err)
	}
	return s, nil
}

// next waits for the next batch.
func (s *source) next(ctx context.Context) (b batch, err error) {
	m, err := s.msgs.Next(jetstream.NextContext(ctx))
	if err != nil {
		return b, fmt.Errorf("socketeer: jetstream: reading: %w", err)
	}
	meta, err := m.Metadata()
	if err != nil {
		return b, fmt.Errorf("socketeer: jetstream: reading: %w", err)
	}
	if s.count++; meta.Sequence.Consumer != s.count {
		return b, errInterrupted
	}
	b.seq, b.stored = meta.Sequence.Stream, meta.Timestamp.UnixNano()
	if b.sender, b.records, err = decodeBatch(m.Data()); err != nil {
		b.broken = true
	}
	return b, nil
}

// close ends reading.
func (s *source) close() {
	s.msgs.Stop()
	s.remove()
}

// remove has the server forget the consumer; should that fail it does so by
// itself.
func (s *source) remove() {
	if !s.l.js.Conn().IsConnected() {
		return
	}
	ask, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := s.l.js.DeleteConsumer(ask, s.l.cfg.logStream(), s.cons.CachedInfo().Name); err != nil {
		s.l.log.Debug("jetstream: consumer not removed", "err", err)
	}
}
