package loadgen

import (
	"container/heap"
	"time"
)

// The JavaScript client's reconnection, apart from its first delay.
const (
	longestDelay   = 5 * time.Second
	delayJitter    = 0.5
	attemptTimeout = 20 * time.Second
)

// backoff returns how long a client waits before it tries again, after a
// number of attempts that failed: first, doubled for each of them, made up to
// half longer or shorter at random (a number from 0 to 1), and at most 5 s.
func backoff(first time.Duration, failed int, random float64) time.Duration {
	if first <= 0 && failed == 0 {
		return 0
	}
	longest := max(first, longestDelay)
	d := max(first, time.Millisecond)
	for ; failed > 0 && d < longest; failed-- {
		d *= 2
	}
	return min(longest, time.Duration(float64(d)*(1-delayJitter+2*delayJitter*random)))
}

// duty is something to do for a connection.
type duty uint8

const (
	open   duty = iota // come back
	expire             // give an attempt up that has not got there
	drop               // cut it, in Drops
)

// appointment is a duty and its time.
type appointment struct {
	at      int64
	conn    int32
	duty    duty
	attempt uint32
}

// agenda holds appointments; the next is the first. It belongs to one loop.
type agenda []appointment

func (a *agenda) add(p appointment) { heap.Push(a, p) }

// due takes the next appointment off when it is due.
func (a *agenda) due(now int64) (p appointment, ok bool) {
	if len(*a) == 0 || (*a)[0].at > now {
		return appointment{}, false
	}
	return heap.Pop(a).(appointment), true
}

// Len, Less, Swap, Push and Pop implement [heap.Interface].

func (a agenda) Len() int           { return len(a) }
func (a agenda) Less(i, j int) bool { return a[i].at < a[j].at }
func (a agenda) Swap(i, j int)      { a[i], a[j] = a[j], a[i] }
func (a *agenda) Push(p any)        { *a = append(*a, p.(appointment)) }
func (a *agenda) Pop() any {
	last := len(*a) - 1
	p := (*a)[last]
	*a = (*a)[:last]
	return p
}
