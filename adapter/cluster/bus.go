package cluster

// Bus carries frames between nodes by subject. One Bus belongs to one [Node].
//
// Order: what one Bus publishes arrives at each subscriber in the order of the
// Publish calls, across all subjects. A Bus may lose frames, but never
// reorders or repeats them.
//
// Interest: if node B subscribes to a subject, then publishes to node A, then
// whatever A publishes to the subject after having received that, arrives at
// B. (In NATS a subscription travels the same connections as messages do.)
//
// Subjects consist of tokens of visible ASCII characters without '*' and '>',
// joined by dots, and are at most [MaxSubject] bytes long.
//
// A Bus may also implement adapter.Health, [Reconnecter] and [Dropper].
type Bus interface {
	// Listen begins delivery. recv is called for each frame from one
	// goroutine, in order of arrival, and owns data. Between the network and
	// that goroutine is a bounded queue: the network's reader never waits for
	// recv; what overflows is dropped and counted. Called once, before all
	// other methods.
	Listen(recv func(data []byte)) error
	// Publish sends data to the subscribers of subject except this Bus itself,
	// without waiting for them. It keeps no reference to data.
	Publish(subject string, data []byte) error
	// Subscribe lets frames published to subject by others arrive here. It
	// does not wait for the others to know. A subject is subscribed once.
	Subscribe(subject string) error
	// Unsubscribe undoes Subscribe.
	Unsubscribe(subject string) error
	// Probe sends data to this Bus itself, by the path that frames of others
	// take, as far as there is such a path.
	Probe(data []byte) error
}

// BatchListener is optionally implemented by a [Bus] that receives by a
// connection to each sender. It is then used instead of Listen.
type BatchListener interface {
	// ListenBatch begins delivery. recv is called with what was read at once
	// from one sender, and owns the frames but not the slice. It may be called
	// from several goroutines, but not from two for the same sender.
	ListenBatch(recv func(batch [][]byte)) error
}

// Flusher is optionally implemented by a [Bus] whose Publish only queues. The
// node calls Flush after each Publish, or several, without a lock.
type Flusher interface {
	Flush()
}

// MaxSubject is the length that no subject exceeds, in bytes.
const MaxSubject = 320

// PeerWatcher is optionally implemented by a [Bus] that finds out that a node
// has ended before its silence tells.
type PeerWatcher interface {
	// WatchPeers has f called with the incarnation of a node that seems to have
	// ended. It is called once, before all other methods; f does not wait.
	WatchPeers(f func(incarnation string))
}

// Reconnecter is optionally implemented by a [Bus] that can start over with a
// new connection. The node asks for it when the bus turns out to be deaf.
type Reconnecter interface {
	Reconnect()
}

// Dropper is optionally implemented by a [Bus] that counts the frames it
// dropped because its queue was full.
type Dropper interface {
	Dropped() uint64
}
