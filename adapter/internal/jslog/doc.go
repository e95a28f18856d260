// Package jslog keeps what the nodes of a cluster send in a stream of
// JetStream, and sessions in another, so that a client that comes back after a
// break gets what it missed: on any node, and also when all nodes have ended
// meanwhile. JetStream keeps them on disk or in memory, on one server or on
// several.
//
// # One order
//
// The sequence of the stream is the order of what is kept, on all nodes. Each
// node reads the whole stream, and hands its own messages to its sockets when
// they come back, between those of others; so the last offset that a client has
// got says what it has got.
//
// # Writing
//
// What has queued travels as one message of the stream, a batch, and the next
// batch leaves when JetStream has acknowledged that one. So order does not
// depend on what becomes of a message that was lost on the way: with several
// under way the second could be kept and the first not. A batch is sent until
// there is an answer, under a Nats-Msg-Id by which JetStream keeps it once; and
// each message has a number of its sender, by which readers know it again even
// where JetStream has forgotten.
//
// A message that has not come back after KeepTimeout is handed to this node's
// sockets without an offset, and a marker is written behind it: nobody recovers
// across a marker. The same is done when a node finds that messages were
// removed before it read them, or that the stream is not the one it was. The
// message itself still goes to the other nodes when JetStream is back, within
// PublishTimeout.
//
// # Order with what is not kept
//
// Volatile messages, requests and the like go from node to node beside the
// stream. They say which sequence their sender had seen of its own, and wait at
// the receiver until it has come there; and the first message kept after some of
// them says how many fences, sent behind them, must have passed. Both waits are
// bounded, because what goes beside the stream can be lost. And a message that has
// been given up is not waited for: what its sender then sends beside the stream
// comes to other nodes before it.
//
// # Coming back
//
// A node remembers what it has read lately. What is older is read from the
// stream by one client for all, and remembered. Where the stream ends is asked
// once for all who come at the same time; while JetStream does not answer, what
// the node has read is enough: the rest will reach the client as what is sent
// now does. It is not if the client comes from a node that had read more, and was
// killed with the server that led the stream: then it waits for an answer, as it
// does for what has to be read of the stream.
//
// What the stream has removed because it was too old cannot be missing: whoever
// has a session has been there since. Only when it is full, and may have removed
// what is newer, an offset from before its beginning is not good any more.
package jslog
