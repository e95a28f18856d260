package loadgen

// maxHoles bounds the sequence numbers remembered as not yet seen.
const maxHoles = 1 << 20

// order checks that every receiver sees each sender's messages once and in
// the order they were sent. It belongs to one loop.
type order struct {
	senders int      // per room
	last    []uint32 // by receiver*senders+slot: the highest number seen
	holes   map[hole]struct{}

	misordered uint64 // arrived after a later message of the same sender
	duplicated uint64 // arrived again
}

// hole is a message passed over: it is lost, or late.
type hole struct {
	at  int
	seq uint32
}

func newOrder(receivers, senders int) order {
	return order{
		senders: senders,
		last:    make([]uint32, receivers*senders),
		holes:   make(map[hole]struct{}),
	}
}

// see notes the arrival of the sender's message number seq, and tells whether
// it is the first time. Numbers start at 1.
func (o *order) see(receiver int, slot, seq uint32) bool {
	at := receiver*o.senders + int(slot)
	last := o.last[at]
	if seq == last+1 {
		o.last[at] = seq
		return true
	}
	return o.seeOther(at, last, seq)
}

func (o *order) seeOther(at int, last, seq uint32) bool {
	if seq > last {
		for missing := last + 1; missing < seq && len(o.holes) < maxHoles; missing++ {
			o.holes[hole{at, missing}] = struct{}{}
		}
		o.last[at] = seq
		return true
	}
	late := hole{at, seq}
	if _, ok := o.holes[late]; ok {
		delete(o.holes, late)
		o.misordered++
		return true
	}
	o.duplicated++
	return false
}
