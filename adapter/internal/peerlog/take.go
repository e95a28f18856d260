package peerlog

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/tinylib/msgp/msgp"

	"github.com/socketeer-io/socketeer/adapter"
	"github.com/socketeer-io/socketeer/internal/msgread"
)

// saving is a session on its way to the replicas.
type saving struct {
	wait wait
	done chan struct{}
}

// SaveSession keeps a session, and returns when the replicas that are in sync
// have it.
func (l *Log) SaveSession(ctx context.Context, nsp string, s *adapter.Session) error {
	rec := appendRecord(nil, s.SID, s.Rooms, s.Data, s.Live)
	if len(rec)+sessionOverhead > l.cfg.MaxFrame {
		return errors.New("socketeer: session is too large to be kept")
	}
	return l.save(ctx, nsp, s.PID, rec)
}

// DropSession forgets a session everywhere.
func (l *Log) DropSession(ctx context.Context, nsp, pid string) error {
	return l.save(ctx, nsp, pid, nil)
}

func (l *Log) save(ctx context.Context, nsp, pid string, rec []byte) error {
	key := Key(nsp, pid)
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return errClosed
	}
	now := time.Now()
	s := &saved{key: key, version: uint64(now.UnixNano()), owner: l.cfg.Self, at: now, life: l.space(nsp).retain, record: rec}
	if old := l.sessions.find(key); old != nil {
		s.version = max(s.version, old.version+1)
	}
	l.putSession(s)
	l.replicate(s)
	w := &saving{wait: l.waits(), done: make(chan struct{})}
	if w.wait.over(l) {
		close(w.done)
	} else {
		l.savings = append(l.savings, w)
	}
	l.mu.Unlock()
	select {
	case <-w.done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-l.ctx.Done():
		return errClosed
	}
}

// putSession keeps a session. With mu held.
func (l *Log) putSession(s *saved) {
	l.sessions.put(s)
	if n := l.sessions.trim(time.Now(), l.cfg.SessionBytes); n > 0 {
		l.count.sessionsTrimmed.Add(uint64(n))
	}
}

// TakeSession returns a session and forgets it everywhere.
func (l *Log) TakeSession(ctx context.Context, nsp, pid string) (*adapter.Session, error) {
	got, err := l.takes.join(ctx, Key(nsp, pid), l.spawn, l.flyTake)
	if err != nil {
		return nil, &adapter.Unrecoverable{Reason: adapter.LogFailure, Err: err}
	}
	if got == nil {
		return nil, &adapter.Unrecoverable{Reason: adapter.NoSession}
	}
	s, err := readRecord(got.record)
	if err != nil {
		return nil, &adapter.Unrecoverable{Reason: adapter.LogFailure, Err: err}
	}
	s.PID = pid
	l.mu.Lock()
	defer l.mu.Unlock()
	if got.owner != l.cfg.Self && !slices.Contains(l.peers, got.owner) {
		s.Live = false
	}
	return s, nil
}

// readRecord reads what appendRecord wrote.
func readRecord(b []byte) (*adapter.Session, error) {
	r := reader{msgread.Reader{Rest: b}}
	extra := r.Record(4)
	s := &adapter.Session{SID: r.Text(), Rooms: r.Texts(), Data: r.Blob(), Live: r.Bool()}
	r.Skip(extra)
	return s, r.Err
}

// place is where the newest version of a session is.
type place struct {
	version uint64
	gone    bool
	node    string // who decides who gets it; this node's incarnation too
}

// flyTake takes the sessions of all who wait. A node that ends between being
// found to have one and being asked for it need not be the only one: who was to
// get it from there looks once more.
func (l *Log) flyTake(all []*passenger[*saved]) {
	peers := l.findAndClaim(all)
	var again []*passenger[*saved]
	for _, p := range all {
		if errors.Is(p.err, errSilent) {
			p.err = nil
			again = append(again, p)
		}
	}
	if len(again) > 0 {
		l.findAndClaim(again)
	}
	l.tell(peers, all)
}

// findAndClaim asks who has the sessions, and then of those who have the newest version
// one, the same for all who ask. It returns who was asked.
func (l *Log) findAndClaim(all []*passenger[*saved]) (peers []string) {
	l.mu.Lock()
	peers = slices.Clone(l.peers)
	l.mu.Unlock()
	id, a := l.begin(peers, func(id uint64) []byte {
		b := msgp.AppendUint64(appendHead(nil, 2, typeFind), id)
		b = msgp.AppendArrayHeader(b, uint32(len(all)))
		for _, p := range all {
			b = msgp.AppendString(b, p.key)
		}
		return b
	})
	answers, silent := l.settle(l.ctx, id, a, l.replicated)
	places := make([]place, len(all))
	l.mu.Lock()
	for i, p := range all {
		version, gone := l.version(p.key)
		places[i].offer(version, gone, l.cfg.Self)
	}
	l.mu.Unlock()
	for node, b := range answers {
		r := reader{msgread.Reader{Rest: b}}
		n := r.Array()
		for i := range min(n, len(all)) {
			extra := r.want(r.Array(), 2)
			places[i].offer(r.Uint64(), r.Bool(), node)
			r.Skip(extra)
		}
	}
	claims, keys := map[string][]int{}, map[string]bool{}
	for i := range all {
		if keys[all[i].key] {
			continue // only one of them gets it
		}
		keys[all[i].key] = true
		switch {
		case places[i].gone:
		case places[i].version > 0:
			claims[places[i].node] = append(claims[places[i].node], i)
		case len(silent) > 0 && !l.replicated(answers, silent):
			all[i].err = errors.New("socketeer: node " + l.name(silent[0]) + " does not answer, and may have the session")
		}
	}
	for node, list := range claims {
		l.claim(node, list, places, all)
	}
	return peers
}

// replicated reports whether what the silent have is here, too.
func (l *Log) replicated(_ map[string][]byte, silent []string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range silent {
		if in := l.in[p]; in == nil || !in.synced {
			return false
		}
	}
	return true
}

// offer notes that a node has a version, or knows that it is gone.
func (p *place) offer(version uint64, gone bool, node string) {
	switch {
	case version > p.version:
		*p = place{version, gone, node}
	case version == p.version && version > 0:
		p.gone, p.node = p.gone || gone, min(p.node, node)
	}
}

// version returns that of a session that is here, 0 when there is none. With
// mu held.
func (l *Log) version(key string) (version uint64, gone bool) {
	s := l.sessions.find(key)
	if s == nil || s.expired(time.Now()) {
		return 0, false
	}
	return s.version, s.record == nil
}

// claim asks one node for sessions.
func (l *Log) claim(node string, list []int, places []place, all []*passenger[*saved]) {
	if node == l.cfg.Self {
		l.mu.Lock()
		defer l.mu.Unlock()
		for _, i := range list {
			all[i].result = l.grant(all[i].key, places[i].version)
		}
		return
	}
	b, err := l.one(l.ctx, node, func(id uint64) []byte {
		b := msgp.AppendUint64(appendHead(nil, 2, typeClaim), id)
		b = msgp.AppendArrayHeader(b, uint32(len(list)))
		for _, i := range list {
			b = msgp.AppendArrayHeader(b, 2)
			b = msgp.AppendUint64(msgp.AppendString(b, all[i].key), places[i].version)
		}
		return b
	})
	r := reader{msgread.Reader{Rest: b, Err: err}}
	granted := map[string]*saved{}
	r.records(func(_ *message, s *saved) {
		if s != nil {
			granted[s.key] = s
		}
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, i := range list {
		if all[i].result = granted[all[i].key]; all[i].result == nil {
			all[i].err = r.Err
			continue
		}
		l.sessions.put(all[i].result.taken())
	}
}

// grant takes a session that is here for a caller anywhere. With mu held.
func (l *Log) grant(key string, version uint64) *saved {
	s := l.sessions.take(key, version)
	if s != nil {
		l.replicate(l.sessions.find(key))
		l.count.taken.Add(1)
	}
	return s
}

// tell tells all nodes which sessions have been taken.
func (l *Log) tell(peers []string, all []*passenger[*saved]) {
	b := appendHead(nil, 1, typeGone)
	n := 0
	var list []byte
	for _, p := range all {
		if p.result != nil {
			list = p.result.taken().appendTo(list)
			n++
		}
	}
	if n == 0 {
		return
	}
	b = append(msgp.AppendArrayHeader(b, uint32(n)), list...)
	for _, p := range peers {
		if err := l.cfg.Send(p, b); err != nil {
			l.log.Debug("not told of sessions that are gone", "peer", l.name(p), "err", err)
		}
	}
}

func (l *Log) onFind(r *reader) []byte {
	id, keys := r.Uint64(), r.Texts()
	if r.Err != nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	b := msgp.AppendUint64(appendHead(nil, 2, typeFound), id)
	b = msgp.AppendArrayHeader(b, uint32(len(keys)))
	for _, key := range keys {
		version, gone := l.version(key)
		b = msgp.AppendBool(msgp.AppendUint64(msgp.AppendArrayHeader(b, 2), version), gone)
	}
	return b
}

func (l *Log) onClaim(r *reader) []byte {
	id := r.Uint64()
	n := r.Array()
	l.mu.Lock()
	defer l.mu.Unlock()
	granted, list := 0, []byte(nil)
	for range n {
		extra := r.want(r.Array(), 2)
		key, version := r.Text(), r.Uint64()
		r.Skip(extra)
		if r.Err != nil {
			return nil
		}
		if s := l.grant(key, version); s != nil {
			list = s.appendTo(list)
			granted++
		}
	}
	b := msgp.AppendUint64(appendHead(nil, 2, typeGrant), id)
	return append(msgp.AppendArrayHeader(b, uint32(granted)), list...)
}

func (l *Log) onGone(r *reader) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r.records(func(_ *message, s *saved) {
		if s != nil && s.record == nil {
			l.putSession(s)
		}
	})
}
