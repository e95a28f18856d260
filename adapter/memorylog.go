package adapter

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"strconv"
	"strings"
	"sync"
	"time"
)

func newMemory(limit int) *memory {
	var b [6]byte
	rand.Read(b[:]) // never fails
	m := &memory{}
	m.epoch = base64.RawURLEncoding.EncodeToString(b[:]) + "."
	m.limit, m.sessions.limit = limit, limit
	m.sessions.byPID = make(map[string]*savedSession)
	return m
}

// memoryLog keeps messages by their number. An offset is the number after the
// log's epoch, so that a string that ends an event which is not kept, and which
// clients therefore take for an offset, is known not to be one.
type memoryLog struct {
	limit int    // bytes; immutable
	epoch string // immutable

	order sync.Mutex // held while kept is called; before mu

	mu     sync.RWMutex // guards the rest
	retain time.Duration
	last   uint64 // number of the newest message, kept still or not
	kept   []keptMessage
	bytes  int
}

type keptMessage struct {
	m  *Message
	at time.Time
}

// size is what a message counts for in the log.
func (m *Message) size() int {
	n := 256 + len(m.Data)
	for _, a := range m.Attachments {
		n += len(a)
	}
	for _, list := range [][]string{m.Target.Rooms, m.Target.Except} {
		for _, s := range list {
			n += len(s) + 16
		}
	}
	return n
}

// Retain implements Log.
func (m *memory) Retain(d time.Duration) {
	m.mu.Lock()
	m.retain = d
	m.mu.Unlock()
	m.sessions.mu.Lock()
	m.sessions.retain = d
	m.sessions.mu.Unlock()
}

// Append implements Log. kept is called before it returns.
func (l *memoryLog) Append(m *Message, kept func(offset string)) error {
	l.order.Lock()
	defer l.order.Unlock()
	c := *m
	l.mu.Lock()
	l.last++
	c.Offset = l.epoch + strconv.FormatUint(l.last, 36)
	l.kept = append(l.kept, keptMessage{&c, time.Now()})
	l.bytes += c.size()
	l.trim()
	l.mu.Unlock()
	kept(c.Offset)
	return nil
}

// trim forgets what is too old or too much. With l.mu held.
func (l *memoryLog) trim() {
	expired := time.Now().Add(-l.retain)
	n := 0
	for n < len(l.kept) && (l.bytes > l.limit || l.kept[n].at.Before(expired)) {
		l.bytes -= l.kept[n].m.size()
		l.kept[n] = keptMessage{}
		n++
	}
	l.kept = l.kept[n:] // append moves the rest to new memory now and then
}

// Newer implements Log.
func (l *memoryLog) Newer(a, b string) bool {
	x, _ := l.number(a)
	y, _ := l.number(b)
	return x > y
}

// number returns the number that an offset of this log stands for.
func (l *memoryLog) number(offset string) (uint64, bool) {
	digits, ok := strings.CutPrefix(offset, l.epoch)
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 36, 64)
	return n, err == nil && n > 0 && strconv.FormatUint(n, 36) == digits
}

// Missed implements Log.
func (l *memoryLog) Missed(_ context.Context, s *Session, offset string) ([]*Message, error) {
	after, ok := l.number(offset)
	l.mu.Lock()
	l.trim()
	l.mu.Unlock()
	l.mu.RLock()
	defer l.mu.RUnlock()
	if !ok || after > l.last {
		return nil, &Unrecoverable{Reason: BadOffset}
	}
	n := l.last - after // messages since
	if n > uint64(len(l.kept)) {
		return nil, &Unrecoverable{Reason: Trimmed}
	}
	var missed []*Message
	for _, k := range l.kept[uint64(len(l.kept))-n:] {
		if s.Wants(&k.m.Target) {
			missed = append(missed, k.m)
		}
	}
	return missed, nil
}
