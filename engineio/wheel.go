package engineio

import (
	"sync"
	"time"
)

// wheel calls connections when their time has come: heartbeats and limits of
// all connections share one goroutine and one timer. Coarse on purpose: a
// connection is called up to one tick late.
//
// Its lock is a leaf: nothing is called while it is held.
type wheel struct {
	tick  time.Duration
	fire  func(c *Conn, now time.Time) (next time.Time) // zero: not again
	mu    sync.Mutex
	slots [512]*Conn // doubly linked lists through Conn.timer
	at    int64      // tick up to which slots have been fired
	start time.Time
}

// timer is a connection's place in the wheel, guarded by the wheel's lock.
type timer struct {
	next, prev *Conn
	due        int64 // tick; 0 when not in the wheel, -1 while being called
}

func newWheel(tick time.Duration, fire func(*Conn, time.Time) time.Time) *wheel {
	return &wheel{tick: tick, fire: fire, start: time.Now()}
}

// schedule has c called at the given time, and not at an earlier set one.
func (w *wheel) schedule(c *Conn, at time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.link(c, at)
}

func (w *wheel) link(c *Conn, at time.Time) {
	w.unlink(c)
	due := max(w.tickOf(at), w.at+1)
	c.timer.due = due
	slot := &w.slots[due%int64(len(w.slots))]
	if *slot != nil {
		(*slot).timer.prev = c
	}
	c.timer.next = *slot
	*slot = c
}

// sooner has c, which is in the wheel, called at the given time, unless it
// will be even sooner.
func (w *wheel) sooner(c *Conn, at time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if due := c.timer.due; due < 0 || due > w.tickOf(at) {
		w.link(c, at)
	}
}

// tickOf returns the first tick at which the time has come.
func (w *wheel) tickOf(at time.Time) int64 { return int64((at.Sub(w.start) + w.tick - 1) / w.tick) }

// remove forgets c.
func (w *wheel) remove(c *Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.unlink(c)
}

func (w *wheel) unlink(c *Conn) {
	t := &c.timer
	if t.due <= 0 {
		t.due = 0
		return
	}
	if t.prev != nil {
		t.prev.timer.next = t.next
	} else {
		w.slots[t.due%int64(len(w.slots))] = t.next
	}
	if t.next != nil {
		t.next.timer.prev = t.prev
	}
	*t = timer{}
}

// run fires what is due until stop is closed.
func (w *wheel) run(stop <-chan struct{}) {
	t := time.NewTicker(w.tick)
	defer t.Stop()
	var due []*Conn
	for {
		select {
		case <-stop:
			return
		case <-t.C:
		}
		now := time.Now()
		due = w.expired(now, due[:0])
		for i, c := range due {
			if next := w.fire(c, now); !next.IsZero() {
				w.sooner(c, next) // than what others have set meanwhile
			}
			due[i] = nil
		}
	}
}

// expired takes out what is due by now.
func (w *wheel) expired(now time.Time, due []*Conn) []*Conn {
	w.mu.Lock()
	defer w.mu.Unlock()
	until := int64(now.Sub(w.start) / w.tick)
	from := max(w.at+1, until-int64(len(w.slots))+1) // after a long stall, one round is all of them
	for at := from; at <= until; at++ {
		for c := w.slots[at%int64(len(w.slots))]; c != nil; {
			next := c.timer.next
			if c.timer.due <= until {
				w.unlink(c)
				c.timer.due = -1
				due = append(due, c)
			}
			c = next
		}
	}
	w.at = max(w.at, until)
	return due
}
