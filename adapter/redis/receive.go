package redis

import (
	"github.com/socketeer-io/socketeer/adapter/internal/lane"
	"github.com/socketeer-io/socketeer/internal/nodewire"
	"github.com/socketeer-io/socketeer/internal/redislink"
)

// maxLanes bounds the goroutines that hand messages to namespaces.
const maxLanes = 8

// arrival is a message that waits to be decoded.
type arrival struct {
	route
	data []byte
}

// receive is called by the link for each message, on one goroutine. It decides
// by the channel and a look at the sender what is to be decoded, and leaves that
// to the lanes, so that a slow namespace holds up neither heartbeats nor Redis.
func (c *Cluster) receive(m redislink.Message) {
	for _, to := range c.routes.find(&m) {
		switch to.use {
		case useMembers:
			c.receiveAnnouncement(m.Data)
		case useResponses:
			if !c.node.Mine(m.Data) {
				c.count.others.Add(1)
				continue
			}
			c.push(lane.Key([]byte(to.space.name)), arrival{to, m.Data})
		default:
			uid, own := c.wire.peek(to.use, to.space, m.Data)
			if own {
				continue
			}
			c.count.received.Add(1)
			// Nobody is in the room any more: the subscription is about to end.
			// (The room of a socket is not one that the namespace tells of.)
			if to.room != "" && !nodewire.PrivateRoom(to.room) && to.space.rooms.Empty(to.room) {
				c.count.filtered.Add(1)
				continue
			}
			c.push(lane.Key(uid), arrival{to, m.Data})
		}
	}
}

func (c *Cluster) push(key uint32, a arrival) {
	if ok, first := c.lanes.Push(key, a, len(a.data)); !ok && first {
		c.log.Warn("namespaces are slower than the cluster: messages are dropped", "nsp", a.space.name, "queued", c.o.QueueBytes)
	}
}

// handle decodes a message and hands it over.
func (c *Cluster) handle(a arrival) {
	m, err := c.wire.decode(a.use, a.space, a.data)
	if err != nil {
		c.malformed(a.space.name, err)
		return
	}
	if !a.space.wants(m) {
		c.count.filtered.Add(1)
		return
	}
	a.space.Receive(m)
}

// malformed counts what cannot be understood.
func (c *Cluster) malformed(nsp string, err error) {
	if c.count.malformed.Add(1) == 1 {
		c.log.Warn("a message that makes no sense was ignored; counted from now on", "nsp", nsp, "err", err)
	}
}
