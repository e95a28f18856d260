// Package nodepeers is how Go and Node.js nodes that share a Redis ask each
// other: requests, answers and names, whatever the wire. The classic, the
// sharded and the streams adapter are built on it.
//
// A [Node] knows who its peers are and matches responses to requests. A
// [Namespace] turns an adapter's messages into those of package nodewire and
// back. How they travel is a [Wire]'s business, who has to call
// [Namespace.Receive] with whatever arrives, in the order of each sender.
//
// # Who is asked
//
// There is no list of Node.js peers. Redis knows which adapters subscribe to
// the channel of requests, and each has a channel of its own too, whose name
// tells its uid. Before a request the [Wire] asks for the number of all and
// which of the known ones are there; when these do not add up, it lists them.
// Every second of waiting it looks again: a peer that is gone is not waited
// for. Go nodes announce themselves besides, see package cluster. That gives
// them names, and tells of one that is frozen but still subscribed.
//
// # Node.js peers
//
// They answer as they always do: a description of sockets, or what a handler
// acknowledges, in one message each; a count of clients and one message for
// each acknowledgement. On the classic wire they do not say who they are. Then
// they are counted, and when some are missing nobody can tell which, unless
// none has answered.
//
// They do not confirm a join, leave or disconnect. So it is followed by the
// request to describe the sockets of a room that does not exist: who answers
// that has done what came before it.
//
// # Go peers
//
// Go nodes recognize each other by their uid ([UID], [IsGo]), and requests of
// each other by the id: the asker's uid, a number, and how many milliseconds
// there are to answer, joined by dots. They answer in parts, so that many
// sockets do not make one huge message, and end with Done; an answer that is
// one message by nature, and acknowledgements of everyone who was counted, end
// by themselves. Joins, leaves and disconnects are answered by an empty
// ServerSideEmitResponse. Node.js ignores all of these.
package nodepeers
