// Package cluster is the adapter of a node among nodes, written once over a
// small [Bus]: publish, subscribe, probe.
//
// # What is delivered
//
// Messages between nodes are delivered at most once. A message published by
// one node reaches every node that holds members of its target, once, in the
// order in which its sender published, whatever the target. Messages of
// different senders have no order among themselves. Requests keep their place
// among the messages of their sender.
//
// A message is lost, never delivered twice, when
//
//   - the bus loses it: the connection breaks or the receiver's bus queue
//     overflows. Messages to a namespace or a node carry a sequence number of
//     their own, and what is missing is counted ([Stats].Gaps).
//   - the receiver's own queue overflows because its namespace is slower than
//     the cluster for long ([Drops].Queue). The bus is never stalled by that.
//   - it is addressed to a room and published before Join of that room has
//     returned. What is published after that arrives.
//
// All of these are counted and none is repaired, but for clients that come back:
// with [Config].Recovery the adapters are an [adapter.Log], see package peerlog.
//
// # Who receives what
//
// There is a subject for each namespace, room and node. A node receives a
// room's messages only while it has members in it, and for a few seconds
// after ([Config].LeaveDelay), so that a room that is left and joined again
// costs nothing. A message to several rooms goes to each room's subject with
// the same sequence number, and receivers drop the duplicates; above
// [MaxRoomSubjects] rooms it goes to the namespace's subject. A message to
// everyone, or to everyone but some, goes to the namespace's subject. A
// socket's id tells its node, so that a message to one socket needs no
// subscription of its own.
//
// # Requests
//
// A request asks the nodes that are live at the call, by name. It ends when
// all have answered, and waits for none that has died: see
// [adapter.PartialError].
//
// # Recovery
//
// With [Config].Recovery nodes keep each other's messages. A message that is
// kept has its position among those of its sender as one more element of its
// frame; nodes without recovery ignore that.
//
// # Losing the bus
//
// Local delivery is not affected. [Node.Ready] says what is wrong, peers are
// declared dead after their timeout, and everything resumes by itself when the
// bus is back.
package cluster
