package nodepeers

import (
	"context"
	"slices"
	"sync"
	"time"
)

// known is the uids that listened to a namespace when it was last looked.
type known struct {
	mu   sync.Mutex
	uids []string
}

// list returns them and the Go nodes that are live, who may listen as well.
func (k *known) list(n *Node) []string {
	k.mu.Lock()
	list := slices.Clone(k.uids)
	k.mu.Unlock()
	for _, uid := range append(n.dir.uids(), n.uid) {
		if !slices.Contains(list, uid) {
			list = append(list, uid)
		}
	}
	return list
}

func (k *known) set(uids []string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.uids = uids[:min(len(uids), maxEntries)]
}

// census returns who listens to the namespace besides this node: those known by
// uid, and how many more there are.
func (a *Namespace) census(ctx context.Context) (uids []string, more int, err error) {
	n := a.node
	uids, more, err = a.present(ctx, a.known.list(n))
	if err == nil && more > 0 {
		var all []string
		if all, err = n.wire.List(ctx, a.name); err == nil {
			// Counted once more: somebody may have come or gone in between.
			uids, more, err = a.present(ctx, all)
		}
	}
	if err != nil {
		return nil, 0, err
	}
	a.known.set(slices.Clone(uids))
	return slices.DeleteFunc(uids, func(uid string) bool { return uid == n.uid }), more, nil
}

// present returns which of uids listen, and how many others.
func (a *Namespace) present(ctx context.Context, uids []string) (there []string, more int, err error) {
	total, present, err := a.node.wire.Listening(ctx, a.name, uids)
	if err != nil {
		return nil, 0, err
	}
	for i, uid := range uids {
		if i < len(present) && present[i] {
			there = append(there, uid)
		}
	}
	return there, max(0, total-len(there)), nil
}

// lookInterval is how often a request looks who is still there.
const lookInterval = time.Second

// look takes off those who are gone.
func (a *Namespace) look(ctx context.Context, p *pending) {
	ctx, cancel := context.WithTimeout(ctx, lookInterval)
	defer cancel()
	there, more, err := a.present(ctx, append([]string{a.node.uid}, p.asked...))
	if err != nil {
		return // it may be back for the next look
	}
	listening := make(map[string]bool, len(there))
	for _, uid := range there {
		listening[uid] = true
	}
	p.looked(listening, more)
}

// uids returns the live Go nodes.
func (d *directory) uids() (list []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for uid, e := range d.entries {
		if e.live {
			list = append(list, uid)
		}
	}
	return list
}
