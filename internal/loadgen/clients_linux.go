package loadgen

import (
	"errors"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// clients is how those of the clients fared that may be cut or lost and come
// back: in Drops all but the senders, in Deploy all.
type clients struct {
	absences *hdrhistogram.Histogram
	attempts *hdrhistogram.Histogram
	got      []uint32 // messages that each got
	sent     []uint32 // and those sent to its room
	ready    int      // so many are connected
}

func newClients() *clients { return &clients{absences: newHistogram(), attempts: newHistogram()} }

// collectClients gathers them from the loops, which are through with their
// sends. The senders of a room may be on several loops.
func collectClients(loops []*loop) *clients {
	all := newClients()
	sent := make(map[uint32]uint32) // to each room
	for _, l := range loops {
		l.mu.Lock()
		for i := range l.conns {
			if c := &l.conns[i]; c.slot >= 0 {
				sent[c.tag] += c.seq
			}
		}
		l.mu.Unlock()
	}
	for _, l := range loops {
		l.mu.Lock()
		all.absences.Merge(l.absences)
		all.attempts.Merge(l.attempts)
		for i := range l.conns {
			c := &l.conns[i]
			if c.state == ready {
				all.ready++
			}
			if l.cfg.Mode == Deploy || c.slot < 0 {
				all.got, all.sent = append(all.got, c.comeback.got), append(all.sent, sent[c.tag])
			}
		}
		l.mu.Unlock()
	}
	return all
}

// clients is how those of all processes fared.
func (r *run) clients() *clients {
	if r.team != nil {
		return r.team.clients()
	}
	return collectClients(r.loops)
}

// fared is clients as one process tells it to another.
type fared struct {
	Absences []byte
	Attempts []byte
	Got      []uint32
	Sent     []uint32
	Ready    int
}

func (c *clients) pack() (*fared, error) {
	f := &fared{Got: c.got, Sent: c.sent, Ready: c.ready}
	var err error
	if f.Absences, err = pack(c.absences); err != nil {
		return nil, err
	}
	f.Attempts, err = pack(c.attempts)
	return f, err
}

// unpack adds what another process has told, if anything.
func (c *clients) unpack(f *fared) error {
	if f == nil {
		return nil
	}
	if len(f.Got) != len(f.Sent) {
		return errors.New("socketeer: a process does not know how each of its clients fared")
	}
	c.got, c.sent, c.ready = append(c.got, f.Got...), append(c.sent, f.Sent...), c.ready+f.Ready
	if err := mergePacked(c.absences, f.Absences); err != nil {
		return err
	}
	return mergePacked(c.attempts, f.Attempts)
}
