// Package redisstream joins nodes over Redis Streams: Go nodes with each other
// and with Socket.IO servers for Node.js that use
// @socket.io/redis-streams-adapter 0.3. What is sent is kept for some time, so
// that clients that lost their connection recover, on any node of either kind.
//
//	c, err := redisstream.New(ctx, redisstream.Options{URLs: []string{"redis://10.0.0.5:6379"}})
//	io, err := socketeer.NewServer(socketeer.WithAdapter(c), socketeer.WithRecovery(socketeer.Recovery{}))
//	...
//	io.Shutdown(ctx)
//	c.Close(ctx)
//
// # How it travels
//
// Broadcasts, joins, leaves and disconnects are entries of a stream that every
// node reads on a connection of its own, in one order for all. Questions
// (acknowledgements, FetchSockets, server-side events) and their answers go
// through channels. A question of a Go node names the last entry that its node
// has written; Go nodes read up to there before they answer.
//
// Reading goes on after every outage where it ended. Writing is repeated until
// Redis answers, and a script sees to it that nothing is written twice. So an
// outage of Redis or of the network loses nothing, unless it lasts longer than
// PublishTimeout or fills BacklogBytes: that is dropped and counted. Node.js
// peers do not confirm joins, leaves and disconnects; for Go nodes the calls
// return when these have been done.
//
// # What is kept
//
// A message that is to be kept is delivered on its own node, too, when its entry
// comes back: so all nodes deliver in the order of the offsets, and the last
// offset that a client has got tells what it has got. What does not come back
// within KeepTimeout is delivered without an offset, and a marker is written
// behind it: nobody recovers across a marker. The same is done when a node finds
// that entries were trimmed before it read them, or that Redis is not the one
// it was. Node.js does not know markers; there such a client recovers without
// what is missing, as always.
//
// Clients that come back are served from what their node has read lately, after
// one question, shared by all who come at the same time, where the stream ends.
// What is older is read from the stream once for all.
//
// # Keys
//
// The stream "socket.io", sessions "sio:session:<pid>", channels
// "socket.io#<namespace>#..." and "socket.io-socketeer-members": formats and
// defaults are those of the adapter for Node.js. Entries of Go nodes have one
// more field, "seq"; the newest of a node is kept at "{socket.io}-seq-<uid>" for
// as long as writes may be repeated.
package redisstream
