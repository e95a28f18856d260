package redis

import (
	"encoding/binary"
	"errors"
	"sync"

	"github.com/socketeer-io/socketeer/adapter/internal/nodepeers"
)

// An announcement of a Go node is a version, the sender's uid, a number that
// grows by one with each announcement to everybody (0 in one to a single node),
// and a frame of package cluster. A gap in the numbers tells that Redis or this
// node lost messages that nobody else would miss.
const (
	announcementVersion = 1
	uidAt               = 1
	maxAnnouncers       = 1024
)

var (
	uidLen           = len(nodepeers.UID(""))
	seqAt            = uidAt + uidLen
	announcementHead = seqAt + 8

	errAnnouncement = errors.New("socketeer: malformed announcement")
)

// announcers is where the numbers of other nodes stand.
type announcers struct {
	mu   sync.Mutex
	sent uint64
	last map[string]uint64 // by uid
}

// Announce implements cluster.Transport.
func (c *Cluster) announce(frame []byte) error {
	c.announcers.mu.Lock()
	defer c.announcers.mu.Unlock() // until it is in the queue: numbers keep their order
	c.announcers.sent++
	return c.link.Publish(c.channels.members(), c.announcement(c.announcers.sent, frame))
}

func (c *Cluster) announcement(seq uint64, frame []byte) []byte {
	b := append(make([]byte, 0, announcementHead+len(frame)), announcementVersion)
	b = append(b, c.node.UID()...)
	b = binary.BigEndian.AppendUint64(b, seq)
	return append(b, frame...)
}

// transport carries announcements.
type transport struct{ *Cluster }

// Announce implements cluster.Transport.
func (t transport) Announce(frame []byte) error { return t.announce(frame) }

// Send implements cluster.Transport.
func (t transport) Send(incarnation string, frame []byte) error {
	return t.link.Publish(t.channels.node(nodepeers.UID(incarnation)), t.announcement(0, frame))
}

// receiveAnnouncement takes one that arrived.
func (c *Cluster) receiveAnnouncement(b []byte) {
	if len(b) < announcementHead || b[0] != announcementVersion {
		c.malformed("", errAnnouncement)
		return
	}
	uid := string(b[uidAt:seqAt])
	if uid == c.node.UID() {
		return
	}
	if err := c.node.ReceiveAnnouncement(b[announcementHead:]); err != nil {
		c.malformed("", err) // nor is its number taken for one
		return
	}
	if seq := binary.BigEndian.Uint64(b[seqAt:]); seq > 0 {
		c.gap(uid, seq)
	}
}

// gap counts announcements that never came.
func (c *Cluster) gap(uid string, seq uint64) {
	a := &c.announcers
	a.mu.Lock()
	last, known := a.last[uid]
	if !known && len(a.last) >= maxAnnouncers {
		clear(a.last)
	}
	a.last[uid] = seq
	a.mu.Unlock()
	if !known || seq <= last+1 {
		return
	}
	if missing := seq - last - 1; c.count.gaps.Add(missing) == missing {
		c.log.Warn("messages from a peer were lost on the way; counted from now on", "missing", missing)
	}
}
