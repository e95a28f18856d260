// Package redislink is one node's link to Redis: messages published in order,
// subscriptions that are there when Redis says so and that come back after
// every outage, and a check that what is published arrives.
//
//	l, err := redislink.Open(ctx, redislink.Options{
//		URLs:    []string{"redis://localhost:6379"},
//		Receive: func(m redislink.Message) { ... },
//	})
//	err = l.Subscribe(ctx, "news")
//	err = l.Publish("news", []byte("hello"))
//
// # Deployments
//
// One server, a server found by sentinels (also after a failover), or a Redis
// Cluster: Open finds out. A link keeps one connection for publishing and one
// for subscriptions. In a Redis Cluster these two are to different masters, so
// that probes cross the cluster's own bus; shard channels get a connection to
// each master that owns some, and follow the slots.
//
// # Delivery
//
// At most once. A publish waits in a queue bounded in bytes for a goroutine
// that sends everything that has queued by its turn in one write, and waits for
// the answers; what is sent is never sent a second time. Messages that come often
// wait for each other, for [Options.Gather]. All publishes of a
// link leave in order on one connection (shard channels: one for each master;
// a slot that moves may reorder). While Redis is away they wait for at most
// [Options.PublishTimeout], and from then on are dropped at once. Every drop is
// counted with its reason in [Stats].
//
// Received messages go through another bounded queue to one goroutine, so that
// a slow receiver never has Redis close the connection.
//
// # Health
//
// A connection can be open and deliver nothing: half open, attached to a master
// that was demoted, or to another server at the same address. So every
// connection is pinged, the server's role is checked, and when nothing arrived
// for a while the link publishes to a channel of its own. Two of these that are
// not heard make it not ready, and everything is connected anew, beginning with
// the question where the master is.
package redislink
