// Package redis is the adapter of nodes that share a Redis, among them those of
// Node.js: it speaks the wire of @socket.io/redis-adapter, classic or sharded,
// so that Go and Node.js servers form one cluster.
//
//	member, err := redis.New(ctx, redis.Options{URLs: []string{"redis://localhost:6379"}})
//	io, err := socketeer.NewServer(socketeer.WithAdapter(member))
//
// # Which wire
//
// All nodes must speak the same one, with the same prefix. [Classic] is that of
// createAdapter, and of the emitter @socket.io/redis-emitter. [Sharded] is that
// of createShardedAdapter, for Redis 7 and later; in a Redis Cluster it spreads
// the load, which Classic does not. Its [Subscription] must be that of the
// other nodes as well.
//
// # What is better than with Node.js alone
//
//   - A node receives the messages of the rooms that have members here, and not
//     those of all rooms: also on the classic wire.
//   - Join returns when Redis has confirmed that the room's messages will come.
//   - A request asks those who are there, ends early when one of them dies, and
//     returns what came together with the names of the missing. A join, leave
//     or disconnect returns when it is done, on Node.js nodes too.
//   - What is lost is counted, with the reason: see [Stats].
//   - When Redis goes away, or only appears to be there, [Cluster.Ready] says
//     so; local delivery goes on, and everything resumes by itself.
//
// # Delivery
//
// At most once, as with every adapter over pub/sub. The messages of one node
// arrive in their order, whatever the target; in a Redis Cluster with the
// sharded wire, in order for each channel only. While Redis is away messages
// are lost and counted.
//
// # Go nodes
//
// Go nodes know each other besides, by heartbeats on channels of their own
// (<prefix>-socketeer-...), so operators see them by name, as with other
// adapters. Node.js peers have no names: they are called "node.js peer" and the
// uid of their adapter.
package redis
