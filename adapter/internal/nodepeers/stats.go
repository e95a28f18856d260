package nodepeers

import "sync/atomic"

// Stats are counters since the node was made, but for Peers.
type Stats struct {
	Peers int // live Go nodes besides this one

	Requests uint64 // asked of other nodes
	Partial  uint64 // of those, without a complete answer
	Late     uint64 // responses to requests that had ended, or that were not asked for
	Overflow uint64 // responses dropped because the asker was too slow to take them

	Answers        uint64 // requests of other nodes
	AnswersRefused uint64 // of those, not answered because too many were under way
	AnswersLost    uint64 // responses that could not be sent
}

type counters struct {
	requests, partial                    atomic.Uint64
	answers, answersRefused, answersLost atomic.Uint64
	answering                            atomic.Int64
}

// Stats returns the node's counters.
func (n *Node) Stats() Stats {
	c := &n.count
	return Stats{
		Peers:    n.dir.live(),
		Requests: c.requests.Load(), Partial: c.partial.Load(), Late: n.requests.late.Load(), Overflow: n.requests.overflow.Load(),
		Answers: c.answers.Load(), AnswersRefused: c.answersRefused.Load(), AnswersLost: c.answersLost.Load(),
	}
}
