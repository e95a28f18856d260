package redislink

import "time"

// shardAddr returns where a shard channel lives.
func (v *view) shardAddr(name string) string {
	if v.topo.owner == nil {
		return v.topo.listen
	}
	return v.topo.owner[Slot(name)]
}

// setShards hands shard channels to the subscribers of their masters. Called
// with mu held.
func (l *Link) setShards(keys []key, wanted bool, t *ticket) {
	v := l.view.Load()
	by := make(map[string][]key)
	for _, k := range keys {
		addr := v.shardAddr(k.name)
		by[addr] = append(by[addr], k)
	}
	for addr, keys := range by {
		l.shardSubscriber(addr).set(keys, wanted, t, time.Time{})
	}
}

// shardSubscriber returns the one for a master. Called with mu held.
func (l *Link) shardSubscriber(addr string) *subscriber {
	s := l.shards[addr]
	if s == nil {
		s = l.newSubscriber(true, addr)
		l.shards[addr] = s
	}
	return s
}

// rebalance brings shard channels to the masters that own them now. Called
// with mu held.
func (l *Link) rebalance(v *view) {
	if v.topo.owner == nil { // one master has them all
		for addr, s := range l.shards {
			if addr != v.topo.listen {
				delete(l.shards, addr)
				l.shards[v.topo.listen] = s
				s.move(v.topo.listen)
			}
			s.unpark()
		}
		return
	}
	for addr, s := range l.shards {
		for to, list := range s.leaving(v, addr) {
			l.shardSubscriber(to).adopt(list)
		}
		s.unpark()
		if _, master := v.lanes[addr]; !master && s.idle() {
			delete(l.shards, addr)
			s.end()
		}
	}
}

// leaving takes from a subscriber what is not its master's any more.
func (s *subscriber) leaving(v *view, addr string) map[string][]change {
	s.mu.Lock()
	defer s.mu.Unlock()
	since := s.down
	if since.IsZero() {
		since = s.link.start.Add(time.Duration(s.alive.Load()))
	}
	gone := make(map[string][]change)
	waiting := make(map[key]bool)
	for _, list := range []*[]change{&s.changes, &s.parked} {
		stay := (*list)[:0]
		for _, c := range *list {
			_, wanted := s.want[c.key]
			if to := v.shardAddr(c.name); to != addr && wanted {
				waiting[c.key] = true
				gone[to] = append(gone[to], c)
			} else {
				stay = append(stay, c)
			}
		}
		*list = stay
	}
	for k := range s.want {
		if to := v.shardAddr(k.name); to != addr {
			delete(s.want, k)
			s.changes = append(s.changes, change{key: k}) // to unsubscribe
			if !waiting[k] {
				gone[to] = append(gone[to], change{key: k, since: since})
			}
		}
	}
	if len(gone) > 0 {
		s.nudge()
	}
	return gone
}

// adopt takes over what another subscriber had.
func (s *subscriber) adopt(list []change) {
	s.mu.Lock()
	for _, c := range list {
		s.want[c.key] = struct{}{}
	}
	s.changes = append(s.changes, list...)
	s.mu.Unlock()
	s.nudge()
}

// unpark has another try with what the server did not own.
func (s *subscriber) unpark() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.parked) > 0 {
		s.changes = append(s.changes, s.parked...)
		s.parked = nil
		s.nudge()
	}
}

func (s *subscriber) idle() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.want) == 0
}
