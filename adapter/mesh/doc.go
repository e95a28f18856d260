// Package mesh joins nodes by connections of their own: one TCP connection
// between each two, and no other process. Of all ways between nodes it is the
// cheapest for small messages.
//
//	c, err := mesh.New(ctx, mesh.Options{
//		ClusterAddr: "10.0.0.3:6222",
//		Peers:       []string{"10.0.0.1:6222", "10.0.0.2:6222"},
//		Token:       secret,
//	})
//	io, err := socketeer.NewServer(socketeer.WithAdapter(c))
//	...
//	io.Shutdown(ctx)
//	c.Close(ctx)
//
// # Who connects to whom
//
// Peers need to name only one live node; nodes tell each other of the others,
// by the address that each advertises. A peer that is not there yet is tried
// again every second or so: for ever if it was configured, else for some ten
// minutes.
//
// Anybody who reaches the cluster port can read and send everything unless
// Token or TLS is set. A node shows that it has the token without telling it,
// and asks the same of the other; what follows is neither encrypted nor
// protected against who can change packets on the way, unless TLS is set.
//
// # Delivery
//
// At most once, and in the order of each sender; package adapter/cluster, of
// which this is a bus, says what that means. Each node tells the others which
// subjects it wants, on the connection on which their messages come, and a
// message is sent only to those who want it. What is on its way when a
// connection breaks is lost, and so is what does not fit into the queue for a
// peer that does not keep up ([Options].SendBytes), which is counted.
//
// A connection on which nothing was heard for [Options].Silence is given up.
//
// A node whose connection is lost, and whose address refuses connections that it
// took before, has ended: it is declared dead a HeartbeatInterval later, and not
// after HeartbeatTimeout as one that is silent.
//
// # How a message leaves
//
// Publish queues it, and the publisher's goroutine writes it to the socket as
// soon as it has let go of its locks; when messages come faster than every
// 50 microseconds, a goroutine of the connection does, with all that have come
// together by then. What is read from a peer is handled by the goroutine that
// read it when it is one message, so that it passes from the socket to its
// receivers without waking anybody.
package mesh
