package engineio

import "sync"

// queue holds the messages that wait for a connection. Its zero value is
// empty, and an empty one owns no memory. Guarded by the connection's lock.
type queue struct {
	head, tail *chunk
	r, w       uint8 // next to read in head, next to write in tail
	n          int32 // messages
	off        int32 // bytes of the first message that have been written
	bytes      int   // bytes not yet written
}

const chunkLen = 15

type chunk struct {
	m    [chunkLen]*Message
	next *chunk
}

var chunks = sync.Pool{New: func() any { return new(chunk) }}

func (q *queue) push(m *Message) {
	if q.tail == nil || q.w == chunkLen {
		c := chunks.Get().(*chunk)
		if q.tail == nil {
			q.head, q.r = c, 0
		} else {
			q.tail.next = c
		}
		q.tail, q.w = c, 0
	}
	q.tail.m[q.w] = m
	q.w++
	q.n++
	q.bytes += m.Len()
}

// pop removes the first message.
func (q *queue) pop() *Message {
	m := q.head.m[q.r]
	q.head.m[q.r] = nil
	q.r++
	q.n--
	q.bytes -= m.Len()
	switch {
	case q.n == 0:
		chunks.Put(q.head)
		*q = queue{}
	case q.r == chunkLen:
		c := q.head
		q.head, q.r = c.next, 0
		c.next = nil
		chunks.Put(c)
	}
	return m
}

func (q *queue) clear() {
	for q.n > 0 {
		q.pop()
	}
}

// gather returns what to write next: as much as fits in scratch, or the first
// message's own bytes. Nothing is removed.
func (q *queue) gather(scratch []byte, f form) []byte {
	if q.n == 0 {
		return nil
	}
	first := q.head.m[q.r].wire(f)[q.off:]
	if q.n == 1 || len(first) >= cap(scratch) {
		return first
	}
	out := scratch[:copy(scratch[:cap(scratch)], first)]
	c, r := q.head, q.r+1
	for range q.n - 1 {
		if r == chunkLen {
			c, r = c.next, 0
		}
		b := c.m[r].wire(f)
		if len(out)+len(b) > cap(out) {
			break
		}
		out = append(out, b...)
		r++
	}
	return out
}

// advance removes the n bytes that have been written.
func (q *queue) advance(n int, f form) {
	for n > 0 {
		rest := len(q.head.m[q.r].wire(f)) - int(q.off)
		if n < rest {
			q.off += int32(n)
			return
		}
		n -= rest
		q.off = 0
		q.pop()
	}
}
