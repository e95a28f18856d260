package nodepeers

import (
	"fmt"
	"slices"
	"strings"
)

// pool is the Node.js peers of a request that do not say who they are when they
// answer. Guarded by pending.mu.
type pool struct {
	live []string // uids that listen
	more int      // listeners whose uid is not known
	gone []string // uids that stopped listening, possibly without an answer
	late int      // looks since then

	answered int // of all of them: descriptions, replies, counts of clients
	left     int // acknowledgements that are missing
}

func (p *pool) expected() int { return len(p.live) + p.more + len(p.gone) }

// open reports whether an answer is still to be waited for.
//
// When a peer has gone nobody knows whether it was among those that answered.
// If so, one that is there has not, so there is a second look before the wait
// ends. Acknowledgements of clients are waited for as long as any peer is
// there whose they may be.
func (p *pool) open() bool {
	switch {
	case p.answered < len(p.live)+p.more:
		return true
	case p.left > 0:
		return len(p.live)+p.more > 0
	case p.answered < p.expected():
		return p.late < 2
	}
	return false
}

// name is who answers, as far as that can be told.
func (p *pool) name() string {
	if all := slices.Concat(p.live, p.gone); len(all) == 1 && p.more == 0 {
		return nodeName(all[0])
	}
	return "node.js peer"
}

// missing names those whose answer is not complete.
func (p *pool) missing() []string {
	n := p.expected() - p.answered
	all := slices.Concat(p.live, p.gone)
	slices.Sort(all)
	switch {
	case n <= 0 && p.left <= 0:
		return nil
	case n <= 0:
		if len(p.gone) > 0 { // most likely theirs
			return []string{fmt.Sprintf("%d clients of node.js peers %s", p.left, strings.Join(p.gone, ", "))}
		}
		return []string{fmt.Sprintf("%d clients of node.js peers %s", p.left, p.list(all))}
	case n == len(p.gone):
		all = slices.Clone(p.gone) // most likely
	case n < p.expected():
		return []string{fmt.Sprintf("%d of node.js peers %s", n, p.list(all))}
	}
	list := make([]string, 0, n)
	for _, uid := range all {
		list = append(list, nodeName(uid))
	}
	if n > len(all) {
		list = append(list, fmt.Sprintf("node.js peers (%d)", n-len(all)))
	}
	return list
}

// list says who there is.
func (p *pool) list(uids []string) string {
	of := strings.Join(uids, ", ")
	if p.more > 0 {
		of = strings.TrimPrefix(fmt.Sprintf("%s and %d unknown", of, p.more), " and ")
	}
	return of
}

// looked notes who is there now.
func (p *pool) looked(listening map[string]bool, more int) {
	if len(p.gone) > 0 || more < p.more {
		p.late++
	}
	p.more = min(p.more, more)
	p.live = slices.DeleteFunc(p.live, func(uid string) bool {
		if !listening[uid] {
			p.gone = append(p.gone, uid)
		}
		return !listening[uid]
	})
}
