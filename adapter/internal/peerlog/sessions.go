package peerlog

import (
	"container/list"
	"crypto/sha256"
	"time"
)

// sessionOverhead is what a session takes beside its record, about, in bytes.
const sessionOverhead = 250

// Key is under which a session is kept: pids, which are secret, do not travel.
func Key(nsp, pid string) string {
	sum := sha256.Sum256([]byte(nsp + "\x00" + pid))
	return string(sum[:])
}

// saved is what is kept of a session. It is immutable.
type saved struct {
	key     string
	version uint64 // later ones are larger
	owner   string // incarnation of the node that saved it
	at      time.Time
	life    time.Duration
	record  []byte // nil: the session was taken or dropped
}

func (s *saved) expired(now time.Time) bool { return now.Sub(s.at) >= s.life }

func (s *saved) size() int { return sessionOverhead + len(s.record) }

// taken is what is left of a session that was taken.
func (s *saved) taken() *saved {
	return &saved{key: s.key, version: s.version, owner: s.owner, at: time.Now(), life: s.life}
}

// sessions are kept in the order in which they came, which is about that in
// which they expire. Guarded by Log.mu.
type sessions struct {
	byKey map[string]*list.Element // of *saved
	order list.List
	bytes int
}

func (t *sessions) find(key string) *saved {
	if e := t.byKey[key]; e != nil {
		return e.Value.(*saved)
	}
	return nil
}

// put keeps s, unless something later is known. That a session is gone is
// later than its content of the same version.
func (t *sessions) put(s *saved) {
	if e := t.byKey[s.key]; e != nil {
		old := e.Value.(*saved)
		if s.version < old.version || s.version == old.version && (s.record != nil || old.record == nil) {
			return
		}
		t.remove(e)
	}
	t.byKey[s.key] = t.order.PushBack(s)
	t.bytes += s.size()
}

func (t *sessions) remove(e *list.Element) {
	s := t.order.Remove(e).(*saved)
	t.bytes -= s.size()
	delete(t.byKey, s.key)
}

// trim forgets what is too old or too much, and returns how many were too much.
func (t *sessions) trim(now time.Time, limit int) (dropped int) {
	for e := t.order.Front(); e != nil; e = t.order.Front() {
		old := e.Value.(*saved).expired(now)
		if !old && t.bytes <= limit {
			break
		}
		if !old {
			dropped++
		}
		t.remove(e)
	}
	return dropped
}

// take returns a session of this version and notes that it is gone.
func (t *sessions) take(key string, version uint64) *saved {
	s := t.find(key)
	if s == nil || s.record == nil || s.version != version || s.expired(time.Now()) {
		return nil
	}
	t.put(s.taken())
	return s
}
