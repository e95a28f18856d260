package nodewire

import "unicode/utf16"

// idLen is the length of a socket's id, of Go and Node.js nodes alike.
const idLen = 20

// PrivateRoom reports whether the sharded adapter takes a room for that of a
// single socket when it publishes, so that in the subscription mode "dynamic"
// the room has no channel of its own: its length, in the units that JavaScript
// counts, is that of an id.
func PrivateRoom(room string) bool {
	if len(room) < idLen {
		return false
	}
	n := 0
	for _, r := range room {
		n += max(1, utf16.RuneLen(r))
	}
	return n == idLen
}
