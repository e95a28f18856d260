// Package emitter sends to the clients of a cluster over Redis from a process
// that is no node of it: a worker, a cron job, another web application. It only
// publishes. So there are no acknowledgements, and there is nothing to fetch.
//
//	io, err := emitter.New(ctx, emitter.Options{URLs: []string{"redis://localhost:6379"}})
//	...
//	err = io.To("room1").Emit("news", "hello")
//	...
//	err = io.Close()
//
// It speaks the formats of the adapters for Redis, so the nodes may be ours
// (adapter/redis, adapter/redisstream), Socket.IO servers for Node.js, or both.
// It does what @socket.io/redis-emitter and @socket.io/redis-streams-emitter
// do, and works with the sharded adapter as well.
//
// # Delivery
//
// A call encodes its message, queues it, and returns: it never waits for Redis.
// One goroutine sends what has queued, in order, many messages in one write. An
// error of a call says that the message was not queued. What became of those
// that were is what [Emitter.Flush] and [Emitter.Close] say: both wait until
// Redis has answered, and their error tells how much was lost, and why.
//
// The queue is bounded, by [Options.BacklogBytes]: who sends faster than Redis
// takes gets [ErrBacklog]. Flush and try again, or drop.
//
// That Redis has taken a message means, over pub/sub, that the nodes get it
// that listen at that moment; over streams, that it is in the stream, for nodes
// that are away for a moment and for clients that recover, too. No message is
// sent a second time.
//
// What one goroutine sends arrives in that order; in a Redis Cluster with
// [Sharded] only what goes to the same room, or to everyone, and with [Streams]
// and more than one of them only what goes to one namespace.
package emitter
