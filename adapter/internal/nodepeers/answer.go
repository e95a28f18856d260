package nodepeers

import (
	"context"
	"sync"
	"time"

	"github.com/socketeer-io/socketeer/adapter"
	"github.com/socketeer-io/socketeer/internal/nodewire"
)

const (
	// maxAnswers bounds the requests being answered at a time.
	maxAnswers = 1 << 16
	// maxAnswerTime bounds how long an answer may take, and is what a request
	// that tells no time gets. Node.js waits for 5 s unless told otherwise.
	maxAnswerTime = time.Minute
	defaultAnswer = 30 * time.Second
	// partBytes is the size around which a Go node's list of sockets is split.
	partBytes = 256 << 10
)

// answer is one request being answered. It ends with its last response, its
// time, or the namespace.
type answer struct {
	a      *Namespace
	to     string // uid; empty if it did not tell
	id     string
	typ    nodewire.Type
	golang bool // the asker is a Go node
	stop   context.CancelFunc

	mu      sync.Mutex
	done    bool
	counted bool                 // the count of clients has been sent
	sockets []adapter.SocketInfo // for those who want them in one message
}

// answer starts to answer a request. It is called in the order of the sender's
// messages, with gate held.
func (a *Namespace) answer(m *nodewire.Message, op *adapter.Message) {
	n := a.node
	left, barrier, golang := parseID(m.RequestID)
	if barrier {
		return // it is for Node.js
	}
	if !golang {
		left = defaultAnswer
		if m.Flags.Timeout > 0 {
			left = min(m.Flags.Timeout, maxAnswerTime)
		}
	}
	n.count.answers.Add(1)
	if n.count.answering.Add(1) > maxAnswers {
		n.count.answering.Add(-1)
		n.count.answersRefused.Add(1)
		return
	}
	ctx, stop := context.WithTimeout(a.ctx, left)
	w := &answer{a: a, to: m.UID, id: m.RequestID, typ: m.Type, golang: golang, stop: stop}
	context.AfterFunc(ctx, func() {
		w.finish()
		n.count.answering.Add(-1)
	})
	if !m.Legacy {
		a.local.Answer(ctx, op, w.reply)
		return
	}
	// Only who has the socket answers: first whether, then the operation.
	has := make(chan bool, 1)
	a.local.Answer(ctx, &adapter.Message{Kind: adapter.Fetch, Target: op.Target}, func(r adapter.Response) {
		select {
		case has <- len(r.Sockets) > 0:
		default:
		}
	})
	a.local.Answer(ctx, op, func(r adapter.Response) {
		if !r.Last {
			return
		}
		select {
		case yes := <-has:
			if yes {
				w.reply(r)
				return
			}
		case <-ctx.Done():
		}
		w.finish()
	})
}

// finish marks the answer as done; it is true for the first call.
func (w *answer) finish() bool {
	w.mu.Lock()
	first := !w.done
	w.done = true
	w.sockets = nil
	w.mu.Unlock()
	w.stop()
	return first
}

// reply sends what one response of the namespace makes.
func (w *answer) reply(r adapter.Response) {
	w.mu.Lock()
	done := w.done
	if !done && !w.golang && len(r.Sockets) > 0 {
		w.sockets = append(w.sockets, r.Sockets...)
	}
	all := w.sockets
	w.mu.Unlock()
	if done || r.Last && !w.finish() {
		return
	}
	switch w.typ {
	case nodewire.Broadcast:
		w.acknowledge(r)
	case nodewire.FetchSockets:
		w.describe(r, all)
	case nodewire.ListSockets, nodewire.ListRooms:
		if r.Last {
			w.list(all)
		}
	case nodewire.ServerSideEmit:
		if r.Last {
			data := r.Data
			if data == nil {
				data = []byte("[]") // nobody here handles the event
			}
			w.send(&nodewire.Message{Type: nodewire.ServerSideEmitResponse, Data: data, Attachments: r.Attachments})
		}
	default:
		if r.Last {
			w.send(&nodewire.Message{Type: nodewire.ServerSideEmitResponse})
		}
	}
}

// acknowledge sends a count of clients, or what one of them acknowledged.
func (w *answer) acknowledge(r adapter.Response) {
	switch {
	case r.Data != nil || r.SID != "":
		data := r.Data
		if data == nil {
			data = []byte("[]")
		}
		w.send(&nodewire.Message{Type: nodewire.BroadcastAck, SID: r.SID, Data: data, Attachments: r.Attachments})
	case w.count():
		if w.golang {
			w.send(&nodewire.Message{Type: nodewire.Done}) // fewer than counted
		}
	default:
		w.send(&nodewire.Message{Type: nodewire.BroadcastClientCount, ClientCount: r.Count})
	}
}

// count notes that the clients are counted; it is true if they were before.
func (w *answer) count() (before bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	before, w.counted = w.counted, true
	return before
}

// describe sends sockets: a Go node gets them in parts, and Done.
func (w *answer) describe(r adapter.Response, all []adapter.SocketInfo) {
	if !w.golang {
		if r.Last {
			w.send(&nodewire.Message{Type: nodewire.FetchSocketsResponse, Sockets: all})
		}
		return
	}
	for sockets := r.Sockets; len(sockets) > 0; {
		i, size := 0, 0
		for i < len(sockets) && (i == 0 || size < partBytes) {
			size += len(sockets[i].Handshake) + len(sockets[i].Data) + 32*len(sockets[i].Rooms)
			i++
		}
		w.send(&nodewire.Message{Type: nodewire.FetchSocketsResponse, Sockets: sockets[:i]})
		sockets = sockets[i:]
	}
	if r.Last {
		w.send(&nodewire.Message{Type: nodewire.Done})
	}
}

// list sends ids or rooms, which only old Node.js nodes ask for.
func (w *answer) list(all []adapter.SocketInfo) {
	m := &nodewire.Message{Type: nodewire.ListSocketsResponse, Rooms: []string{}}
	seen := make(map[string]bool)
	for _, s := range all {
		if w.typ == nodewire.ListSockets {
			m.Rooms = append(m.Rooms, s.ID)
			continue
		}
		for _, room := range s.Rooms {
			if !seen[room] {
				seen[room] = true
				m.Rooms = append(m.Rooms, room)
			}
		}
	}
	if w.typ == nodewire.ListRooms {
		m.Type = nodewire.ListRoomsResponse
	}
	w.send(m)
}

// send sends one response.
func (w *answer) send(m *nodewire.Message) {
	n := w.a.node
	m.UID, m.NSP, m.RequestID = n.uid, w.a.name, w.id
	if err := n.wire.Respond(w.to, m); err != nil {
		if n.count.answersLost.Add(1) == 1 {
			n.log.Warn("a response could not be sent; counted from now on", "nsp", w.a.name, "type", m.Type.String(), "err", err)
		}
	}
}
