// Package nats joins nodes over NATS: by default with a small NATS server
// inside every node, so that a cluster needs no other process; or over NATS
// servers that exist already.
//
//	c, err := nats.New(ctx, nats.Options{
//		ClusterAddr: ":6222",
//		Peers:       []string{"10.0.0.1:6222", "10.0.0.2:6222"},
//		Token:       secret,
//	})
//	io, err := socketeer.NewServer(socketeer.WithAdapter(c))
//	...
//	io.Shutdown(ctx)
//	c.Close(ctx)
//
// # Embedded
//
// Each node runs a NATS server that its own node talks to in memory. The
// servers connect to each other by routes: one TCP connection for each pair of
// nodes. Peers need to name only one live node; the others are learned from
// it. A peer that is not there yet is tried again every second, for ever. The
// port for clients is on the loopback interface, of a random number, with a
// random password: nobody is meant to use it.
//
// Anybody who reaches the cluster port can read and send everything unless
// Token or TLS is set. The token crosses the network in the clear unless TLS
// is set too.
//
// # Delivery
//
// At most once, and in the order of each sender; package adapter/cluster, of
// which this is a bus, says what that means. What is on its way when a
// connection breaks is lost; what is published while a node has no connection
// to its external NATS is kept, up to 8 MiB, and sent when it is back. Joins
// of rooms are confirmed by all live nodes, which holds for NATS servers
// connected by routes, but not across gateways or leaf nodes of an external
// NATS: these learn of a subscription later.
//
// # Recovery
//
// With Options.Recovery the adapters are an adapter.Log: nodes keep each other's
// messages and sessions in memory, and the clients of a node that was killed
// recover on another.
//
// With Options.JetStream they are kept in JetStream instead, of an external NATS
// or of three and more embedded servers, and clients recover even when all nodes
// have ended meanwhile. The price: JetStream stops for some seconds when the
// server dies that leads a stream, and every node reads everything that is kept.
// A node alone, and two nodes, can only do without; docs/DESIGN.md says why.
package nats
