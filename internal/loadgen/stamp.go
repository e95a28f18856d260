package loadgen

import "encoding/binary"

// stampSize is the length of a stamp on the wire.
const stampSize = 32

// stamp is what a message carries through the server: who sent it, when it
// was due, and its number among the sender's messages.
//
// On the wire it is 32 letters from a to p, four bits each. They need no
// escaping in JSON, stand at a known offset, and are read eight at a time
// without a table or a loop: a generator that shares the machine with the
// server cannot afford a JSON decoder.
type stamp struct {
	at   int64  // nanoseconds on the system's monotonic clock
	room uint32 // room in Rooms, connection in Echo
	slot uint32 // sender within the room; 8 bits on the wire
	seq  uint32 // from 1
}

const (
	letters = 0x6161616161616161 // "aaaaaaaa"
	nibbles = 0x0f0f0f0f0f0f0f0f
)

// put writes s to the first stampSize bytes of b.
func (s stamp) put(b []byte) {
	_ = b[stampSize-1]
	putLetters(b[0:], uint32(s.at>>32))
	putLetters(b[8:], uint32(s.at))
	putLetters(b[16:], s.room<<8|s.slot&0xff)
	putLetters(b[24:], s.seq)
}

// readStamp reads a stamp from the start of b; ok is false when b is too
// short or holds anything else.
func readStamp(b []byte) (s stamp, ok bool) {
	if len(b) < stampSize {
		return stamp{}, false
	}
	high, bad0 := readLetters(b[0:])
	low, bad1 := readLetters(b[8:])
	from, bad2 := readLetters(b[16:])
	seq, bad3 := readLetters(b[24:])
	s = stamp{at: int64(high)<<32 | int64(low), room: from >> 8, slot: from & 0xff, seq: seq}
	return s, bad0|bad1|bad2|bad3 == 0
}

// putLetters spreads the eight nibbles of v over eight bytes, a letter each.
func putLetters(b []byte, v uint32) {
	x := uint64(v)
	x = (x | x<<16) & 0x0000ffff0000ffff
	x = (x | x<<8) & 0x00ff00ff00ff00ff
	x = (x | x<<4) & nibbles
	binary.LittleEndian.PutUint64(b, x+letters)
}

// readLetters reverses putLetters. bad is not zero when a byte was no letter
// from a to p: the subtraction then leaves or borrows into an upper nibble.
func readLetters(b []byte) (v uint32, bad uint64) {
	x := binary.LittleEndian.Uint64(b) - letters
	bad = x &^ nibbles
	x = (x | x>>4) & 0x00ff00ff00ff00ff
	x = (x | x>>8) & 0x0000ffff0000ffff
	x |= x >> 16
	return uint32(x), bad
}
