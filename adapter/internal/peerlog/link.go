package peerlog

import (
	"cmp"
	"hash/fnv"
	"slices"
	"time"

	"github.com/tinylib/msgp/msgp"
)

const (
	// replicas is how many other nodes keep what this node sends.
	replicas = 2
	// batchBytes is about the size of a batch, and window how much is under way
	// on a link.
	batchBytes = 256 << 10
	window     = 4 << 20
	// resendAfter is the time without progress after which what was not
	// acknowledged is sent again.
	resendAfter = 300 * time.Millisecond
	// A replica that does not acknowledge for lagging is out of sync if another
	// one keeps up, and after lost in any case.
	lagging = 300 * time.Millisecond
	lost    = time.Second
)

// link is an ordered channel to a replica. Records are numbered from 1; what is
// not acknowledged is sent again. Guarded by Log.mu.
type link struct {
	to      string // incarnation
	epoch   uint64 // tells links between the same two nodes apart
	records fifo[record]
	base    uint64 // number of the last record acknowledged
	sent    uint64 // number of the last record sent
	bytes   int    // of records
	initial uint64 // number up to which the link brings the replica up to date
	synced  bool   // the replica is waited for
	told    bool   // that it is in sync, or not
	broken  bool   // too much was waiting; begins anew
	flying  int    // bytes sent and not acknowledged

	alive  time.Time // last progress
	resent time.Time
}

func (k *link) end() uint64 { return k.base + uint64(k.records.len()) }

// choose sets up links to the replicas of this node and ends others. A new one
// begins with what the replica may lack: what this node sent, and what it keeps
// of nodes that are gone. With mu held.
func (l *Log) choose() {
	peers := slices.Clone(l.peers)
	score := func(peer string) uint64 {
		h := fnv.New64a()
		h.Write([]byte(l.cfg.Self))
		h.Write([]byte(peer))
		return h.Sum64()
	}
	slices.SortFunc(peers, func(a, b string) int {
		return cmp.Or(cmp.Compare(score(b), score(a)), cmp.Compare(a, b))
	})
	peers = peers[:min(replicas, len(peers))]
	for to := range l.links {
		if !slices.Contains(peers, to) {
			delete(l.links, to)
		}
	}
	for _, to := range peers {
		if l.links[to] == nil {
			l.links[to] = l.newLink(to)
		}
	}
}

func (l *Log) newLink(to string) *link {
	k := &link{to: to, epoch: uint64(time.Now().UnixNano()), alive: time.Now()}
	live := map[string]bool{}
	for _, p := range l.peers {
		live[p] = true
	}
	for _, sp := range l.spaces {
		for sender, sl := range sp.logs {
			if live[sender] {
				continue // its own link
			}
			for _, e := range sl.entries {
				k.push(e)
			}
		}
	}
	for e := l.sessions.order.Front(); e != nil; e = e.Next() {
		if s := e.Value.(*saved); !live[s.owner] {
			k.push(s)
		}
	}
	k.initial = k.end()
	k.synced = k.initial == 0
	return k
}

func (k *link) push(r record) {
	if k.records.len() == 0 {
		k.alive = time.Now()
	}
	k.records.push(r)
	k.bytes += r.size()
}

// replicate puts a record on all links. With mu held.
func (l *Log) replicate(r record) {
	for _, k := range l.links {
		if k.broken {
			continue
		}
		k.push(r)
		if k.bytes > l.cfg.Bytes+l.cfg.SessionBytes+window {
			l.breakOff(k)
		}
	}
	l.signal()
}

// breakOff gives up what waits on a link; it begins anew when its replica is
// heard again. With mu held.
func (l *Log) breakOff(k *link) {
	l.count.linkBreaks.Add(1)
	k.broken, k.synced, k.records, k.bytes, k.flying = true, false, fifo[record]{}, 0, 0
}

// wait says which records have to be acknowledged for something to be kept.
type wait []waitFor

type waitFor struct {
	k      *link
	number uint64
}

// waits returns what to wait for now. With mu held.
func (l *Log) waits() wait {
	var w wait
	for _, k := range l.links {
		if k.synced {
			w = append(w, waitFor{k, k.end()})
		}
	}
	return w
}

// over reports whether everybody who is in sync has acknowledged. With mu held.
func (w wait) over(l *Log) bool {
	for _, f := range w {
		if l.links[f.k.to] == f.k && f.k.synced && f.k.base < f.number {
			return false
		}
	}
	return true
}

// check finds replicas that do not acknowledge, and what is to be sent again.
// With mu held.
func (l *Log) check(now time.Time) {
	for _, k := range l.links {
		idle := now.Sub(k.alive)
		if k.records.len() == 0 || k.broken {
			continue
		}
		if k.synced && k.sent > k.base && idle > lagging && (idle > lost || l.another(k)) {
			k.synced, k.told = false, false
			k.initial = k.end()
			l.count.outOfSync.Add(1)
			l.log.Warn("a replica of this node does not keep up: nobody waits for it until it has caught up", "replica", l.name(k.to))
		}
		if k.sent > k.base && idle > resendAfter && now.Sub(k.resent) > resendAfter {
			l.again(k, now)
		}
	}
}

// another reports whether a replica other than k keeps up. With mu held.
func (l *Log) another(k *link) bool {
	for _, o := range l.links {
		if o != k && o.synced && (o.records.len() == 0 || time.Since(o.alive) < lagging) {
			return true
		}
	}
	return false
}

// frame returns the next batch of a link, nil when there is none to send now.
// With mu held.
func (l *Log) frame(k *link) []byte {
	from := int(k.sent - k.base)
	n, bytes := 0, 0
	for from+n < k.records.len() && k.flying+bytes <= window && n < maxElements {
		size := k.records.items[k.records.head+from+n].size()
		if n > 0 && bytes+size > l.batch {
			break
		}
		bytes += size
		n++
	}
	if n == 0 && (k.told || k.broken) {
		return nil
	}
	b := make([]byte, 0, bytes+64)
	b = appendHead(b, 4, typeBatch)
	b = msgp.AppendUint64(b, k.epoch)
	b = msgp.AppendUint64(b, k.sent+1)
	b = msgp.AppendBool(b, k.synced)
	b = msgp.AppendArrayHeader(b, uint32(n))
	for i := range n {
		b = k.records.items[k.records.head+from+i].appendTo(b)
	}
	k.sent += uint64(n)
	k.flying += bytes
	k.told = true
	return b
}

// acked takes an acknowledgement. With mu held.
func (l *Log) acked(from string, r *reader, extra int) {
	epoch, number, missing := r.Uint64(), r.Uint64(), r.Bool()
	r.Skip(extra)
	k := l.links[from]
	if r.Err != nil || k == nil || k.epoch != epoch {
		return
	}
	if k.broken {
		l.links[from] = l.newLink(from)
		return
	}
	if number > k.end() {
		return
	}
	if number > k.base {
		for k.base < number {
			size := k.records.front().size()
			k.bytes -= size
			if k.base < k.sent {
				k.flying -= size
			}
			k.records.pop()
			k.base++
		}
		k.alive = time.Now()
		k.sent = max(k.sent, k.base)
	}
	if missing && number == k.base && k.sent > k.base && time.Since(k.resent) > lagging/10 {
		l.again(k, time.Now())
	}
	if !k.synced && k.base >= k.initial {
		k.synced, k.told = true, false
	}
}

// again sends what was not acknowledged once more. With mu held.
func (l *Log) again(k *link, now time.Time) {
	k.sent, k.flying, k.resent = k.base, 0, now
	l.count.resends.Add(1)
}

// incoming is where this node is with what another one replicates to it.
// Guarded by Log.mu.
type incoming struct {
	epoch  uint64
	number uint64
	synced bool
}

// batch takes a batch and returns the acknowledgement.
func (l *Log) takeBatch(from string, r *reader, extra int) []byte {
	epoch, first, synced := r.Uint64(), r.Uint64(), r.Bool()
	l.mu.Lock()
	defer l.mu.Unlock()
	in := l.in[from]
	if in == nil || in.epoch != epoch {
		if in != nil && epoch < in.epoch {
			return nil // a link that is no more
		}
		in = &incoming{epoch: epoch}
		l.in[from] = in
	}
	in.synced = synced
	missing := first > in.number+1
	if !missing {
		number := first - 1
		r.records(func(m *message, s *saved) {
			number++
			if number <= in.number {
				return // it came before
			}
			in.number = number
			switch {
			case m != nil:
				l.add(l.space(m.entry.nsp).log(m.sender), m)
			case s != nil:
				l.putSession(s)
			}
		})
		r.Skip(extra)
	}
	if r.Err != nil {
		return nil
	}
	b := appendHead(nil, 3, typeAck)
	b = msgp.AppendUint64(b, epoch)
	b = msgp.AppendUint64(b, in.number)
	return msgp.AppendBool(b, missing)
}
