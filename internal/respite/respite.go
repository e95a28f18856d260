// Package respite says for how long not to wait after having waited in vain.
package respite

// Max is the longest rest, in times.
const Max = 64

// Rest is of one who waits for more, so that what comes often is dealt with
// together, and finds that nothing came: he does not wait the next time, then
// the next three, and up to Max. The zero value waits. It is not safe for
// concurrent use.
type Rest struct {
	next int // how long the next one is
	left int // times without a wait
}

// Over reports whether it is time to wait again. If not, one time has passed.
func (r *Rest) Over() bool {
	if r.left > 0 {
		r.left--
		return false
	}
	return true
}

// Waited says what came of a wait: more, or nothing. A wait in vain is followed
// by a rest that is twice as long as the last one, and one.
func (r *Rest) Waited(more bool) {
	r.next = min(2*r.next+1, Max)
	if more {
		r.next = 0
	}
	r.left = r.next
}
