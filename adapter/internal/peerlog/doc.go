// Package peerlog keeps what the nodes of a cluster send in the memory of
// several of them, so that a client that comes back after a break gets what it
// missed, even if the node it was on was killed. It needs nothing but the
// cluster's bus: no leader, no quorum, no disk, no names that last.
//
// # Who keeps what
//
// Each node numbers the messages it sends, in each namespace from 1. It keeps
// them, and hands them to replicas, up to two other nodes chosen by rendezvous
// hashing, over a link: an ordered channel that repairs losses of the bus. A
// message is kept when all replicas that are in sync have acknowledged it. One
// that does not for a while is out of sync until it has caught up, and nobody
// waits for it; so the death of a node delays messages for a moment, and does
// not stop them. A node without peers keeps in its own memory only. Sessions
// travel the same links.
//
// # Offsets
//
// There is no order of all messages, and none is needed. An offset is a vector:
// how far the node that delivered a message had got with each sender, the
// message's own sender first. Since a node sees the messages of a sender in
// their order, and delivers to its sockets one message at a time, a client whose
// last offset says 7 for a sender has got all of that sender's messages up to 7
// that it was to get. Senders that have been silent for longer than messages are
// kept are left out: nothing of theirs can be missing. An offset has about 8
// bytes for each node that sent something in the namespace lately.
//
// A single sequence for all nodes would make for shorter offsets. But then a
// node would have to deliver in that sequence, so it would have to receive
// everything, and wait for what another node was given a number for.
//
// # Coming back
//
// A node that is asked for what a client missed asks all nodes how far each
// sender got (a round, shared by all clients that wait for one), reads from them
// what it does not hold itself, and hands to its own sockets what did not arrive
// by the ordinary way. A node that does not answer is not needed if a replica of
// it that is in sync does: that is what makes a killed node's clients recover
// before anybody knows that it is dead.
//
// What is missing is found by the numbers: if a sender got further than what
// all nodes together hold, the client is not recovered. Undetected is only the
// loss of a tail that no living node has heard of: when a sender and all its
// replicas die at about the same time.
package peerlog
