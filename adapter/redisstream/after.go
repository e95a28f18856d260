package redisstream

import "time"

// maxAfter bounds what waits for the reader, together with BacklogBytes.
const maxAfter = 1 << 14

// afterwards is a request that waits until the reader has come to an entry.
type afterwards struct {
	id    offset
	size  int
	do    func() // nil when it has been done
	timer *time.Timer
}

// when carries out a request of size bytes: when everything up to id has been
// handed on, if it names one. It does not wait for that.
func (s *stream) when(id offset, named bool, size int, do func()) {
	s.deliver.Lock()
	defer s.deliver.Unlock()
	if !named || !id.after(s.read.position()) {
		do()
		return
	}
	if len(s.afters) >= maxAfter || s.afterBytes > 0 && s.afterBytes+size > s.o.BacklogBytes {
		s.count.overtaken.Add(1)
		do()
		return
	}
	a := &afterwards{id: id, size: size, do: do}
	s.afterBytes += size
	a.timer = time.AfterFunc(afterTimeout, func() {
		s.deliver.Lock()
		defer s.deliver.Unlock()
		if a.do != nil && s.ctx.Err() == nil {
			s.count.overtaken.Add(1)
			s.after(a)
		}
	})
	s.afters = append(s.afters, a)
}

// arrived carries out what has waited for the reader to come here. With deliver
// held.
func (s *stream) arrived(at offset) {
	list, n := s.afters, 0
	for n < len(list) && !list[n].id.after(at) {
		n++
	}
	s.afters = list[n:]
	for _, a := range list[:n] {
		a.timer.Stop()
		if a.do != nil {
			s.after(a)
		}
	}
}

// after carries out what has waited. With deliver held.
func (s *stream) after(a *afterwards) {
	a.do()
	a.do = nil
	s.afterBytes -= a.size
}
