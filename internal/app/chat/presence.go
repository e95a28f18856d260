package chat

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/socketeer-io/socketeer"
)

// person is somebody in a room.
type person struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	Room string `json:"room"`
	Node string `json:"node"`
}

// here is what a node says of its own people: all of them.
type here struct {
	Node   string   `json:"node"`
	People []person `json:"people"`
	First  bool     `json:"first"` // the node has just started, and knows nobody
}

const (
	settle      = 100 * time.Millisecond // changes within it are told together
	look        = time.Second            // between two looks for nodes that are gone
	repeat      = 5 * time.Second        // a node repeats what it said, in case it was missed
	shownPeople = 200                    // told of one room; the page shows how many more there are
)

// presence knows who is where. Each node tells the others of its own people;
// a node that is not live any more is forgotten with them.
type presence struct {
	nsp  *socketeer.Namespace
	node string
	live func() []string // names of live nodes

	mu     sync.Mutex
	own    map[string]person   // by socket id
	others map[string][]person // by node
	dirty  bool                // own has changed
	stale  bool                // the page's view has changed
	told   bool                // the others have heard of this node

	wake chan struct{} // capacity 1
	stop chan struct{}
	done chan struct{}
	once sync.Once // closes stop
}

func newPresence(nsp *socketeer.Namespace, o Options) *presence {
	p := &presence{
		nsp: nsp, node: o.Node, live: o.Live,
		own: map[string]person{}, others: map[string][]person{}, dirty: true,
		wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}),
	}
	nsp.OnServerSide("here", func(_ context.Context, m *socketeer.Message) error {
		var h here
		if err := m.Decode(&h); err != nil {
			return err
		}
		p.heard(h)
		return nil
	})
	p.poke()
	go p.run()
	return p
}

func (p *presence) close() {
	p.once.Do(func() { close(p.stop) })
	<-p.done
}

func (p *presence) enter(who person) { p.change(func() { p.own[who.ID] = who }) }
func (p *presence) leave(id string)  { p.change(func() { delete(p.own, id) }) }

func (p *presence) change(f func()) {
	p.mu.Lock()
	f()
	p.dirty, p.stale = true, true
	p.mu.Unlock()
	p.poke()
}

// poke lets run look soon.
func (p *presence) poke() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

func (p *presence) heard(h here) {
	p.mu.Lock()
	defer p.mu.Unlock()
	known, met := p.others[h.Node]
	if !met || !slices.Equal(known, h.People) {
		p.others[h.Node] = h.People
		p.stale = true
	}
	p.dirty = p.dirty || !met || h.First // it may not have heard of us
	p.poke()
}

// run tells other nodes and this node's pages what has changed.
func (p *presence) run() {
	defer close(p.done)
	ticks := time.NewTicker(look)
	defer ticks.Stop()
	for last := time.Now(); ; {
		select {
		case <-p.stop:
			return
		case <-p.wake:
			select {
			case <-p.stop:
				return
			case <-time.After(settle):
			}
		case now := <-ticks.C:
			if now.Sub(last) >= repeat {
				last = now
				p.mu.Lock()
				p.dirty = true
				p.mu.Unlock()
			}
		}
		p.forget()
		p.tell()
	}
}

// forget drops the people of nodes that are gone.
func (p *presence) forget() {
	live := p.live()
	p.mu.Lock()
	defer p.mu.Unlock()
	for node := range p.others {
		if !slices.Contains(live, node) {
			delete(p.others, node)
			p.stale = true
		}
	}
}

// tell sends what has changed. What does not arrive is repeated later.
func (p *presence) tell() {
	p.mu.Lock()
	dirty, stale := p.dirty, p.stale
	p.dirty, p.stale = false, false
	first := !p.told
	own := slices.SortedFunc(maps.Values(p.own), byID)
	p.mu.Unlock()
	if dirty && p.nsp.ServerSideEmit("here", here{p.node, own, first}) == nil {
		p.mu.Lock()
		p.told = true
		p.mu.Unlock()
	}
	if !stale {
		return
	}
	all := p.nsp.Local()
	_ = all.Emit("rooms", p.rooms())
	for room, people := range p.byRoom() {
		shown := people[:min(len(people), shownPeople)]
		_ = all.To(roomOf(room)).Emit("members", map[string]any{"room": room, "total": len(people), "members": shown})
	}
}

func byID(a, b person) int { return strings.Compare(a.ID, b.ID) }

// byRoom returns everybody, in the order of their names.
func (p *presence) byRoom() map[string][]person {
	p.mu.Lock()
	defer p.mu.Unlock()
	rooms := map[string][]person{}
	add := func(who person) { rooms[who.Room] = append(rooms[who.Room], who) }
	for _, who := range p.own {
		add(who)
	}
	for _, people := range p.others {
		for _, who := range people {
			add(who)
		}
	}
	for _, people := range rooms {
		slices.SortFunc(people, func(a, b person) int {
			if c := strings.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)); c != 0 {
				return c
			}
			return byID(a, b)
		})
	}
	return rooms
}

// room is one with people in it.
type room struct {
	Name   string `json:"name"`
	People int    `json:"people"`
}

// rooms returns those with people in them, the fullest first.
func (p *presence) rooms() []room {
	list := []room{}
	for name, people := range p.byRoom() {
		list = append(list, room{name, len(people)})
	}
	slices.SortFunc(list, func(a, b room) int {
		if a.People != b.People {
			return b.People - a.People
		}
		return strings.Compare(a.Name, b.Name)
	})
	return list[:min(len(list), 100)]
}
