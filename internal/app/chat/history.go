package chat

import "sync"

const (
	keptMessages = 50   // of a room
	keptRooms    = 1000 // the rest is forgotten, the oldest first
)

// history is what was said last, as far as this node knows.
type history struct {
	mu    sync.Mutex
	rooms map[string][]Message
	order []string // of rooms, by their first message
}

func newHistory() *history { return &history{rooms: map[string][]Message{}} }

// add reports false when the message is known already.
func (h *history) add(m Message) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	list, known := h.rooms[m.Room]
	for _, old := range list {
		if old.ID == m.ID {
			return false
		}
	}
	if !known {
		if len(h.order) == keptRooms {
			delete(h.rooms, h.order[0])
			h.order = h.order[1:]
		}
		h.order = append(h.order, m.Room)
	}
	if len(list) == keptMessages {
		list = append([]Message(nil), list[1:]...)
	}
	h.rooms[m.Room] = append(list, m)
	return true
}

// of returns what was said in a room.
func (h *history) of(room string) []Message {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]Message{}, h.rooms[room]...)
}
