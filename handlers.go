package socketeer

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
)

// Middleware wraps a handler: what it does before and after, and whether it
// calls next at all, is its own affair.
type Middleware func(next Handler) Handler

// Registrar is what handlers are registered with: a [Server], a [Namespace],
// a [Dynamic] or a [Socket].
type Registrar interface {
	On(event string, h Handler) (off func())
}

// handlers are the event handlers of a namespace or a socket. Reading takes no
// lock: changes make a new table.
type handlers struct {
	mu    sync.Mutex
	table atomic.Pointer[table]
}

// table is immutable.
type table struct {
	events     map[string][]*Handler
	any        []*Handler
	middleware []Middleware
}

func (h *handlers) load() *table {
	if h == nil {
		return nil
	}
	return h.table.Load()
}

// change replaces the table by a changed copy.
func (h *handlers) change(f func(t *table)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	next := &table{events: map[string][]*Handler{}}
	if t := h.table.Load(); t != nil {
		for name, list := range t.events {
			next.events[name] = slices.Clone(list)
		}
		next.any = slices.Clone(t.any)
		next.middleware = slices.Clone(t.middleware)
	}
	f(next)
	h.table.Store(next)
}

// copyFrom takes over the handlers of a template.
func (h *handlers) copyFrom(t *table) {
	if t != nil {
		h.table.Store(t)
	}
}

func (h *handlers) on(event string, f Handler) (off func()) {
	p := &f
	h.change(func(t *table) { t.events[event] = append(t.events[event], p) })
	return func() {
		h.change(func(t *table) {
			t.events[event] = slices.DeleteFunc(t.events[event], func(x *Handler) bool { return x == p })
			if len(t.events[event]) == 0 {
				delete(t.events, event)
			}
		})
	}
}

func (h *handlers) onAny(f Handler, first bool) (off func()) {
	p := &f
	h.change(func(t *table) { t.any = add(t.any, p, first) })
	return func() {
		h.change(func(t *table) {
			t.any = slices.DeleteFunc(t.any, func(x *Handler) bool { return x == p })
		})
	}
}

func (h *handlers) use(m Middleware) {
	h.change(func(t *table) { t.middleware = append(t.middleware, m) })
}

// add adds to the end of a list, or to its start.
func add[T any](list []T, v T, first bool) []T {
	if first {
		return slices.Insert(list, 0, v)
	}
	return append(list, v)
}

// once wraps a registration so that its handler runs at most once.
func once(on func(Handler) func(), f Handler) (off func()) {
	var run sync.Once
	ready := make(chan struct{})
	off = on(func(ctx context.Context, m *Message) (err error) {
		<-ready
		run.Do(func() {
			off()
			err = f(ctx, m)
		})
		return err
	})
	close(ready)
	return off
}

// chain is what an event runs through: the namespace's and the socket's
// handlers. Either may be nil.
type chain [2]*table

// handle runs the catch-all handlers, then the middleware around the event's
// handlers, in the order of registration. The first error is returned, and
// every handler runs all the same.
func (c chain) handle(ctx context.Context, m *Message) (err error) {
	keep := func(e error) {
		if err == nil {
			err = e
		}
	}
	wrapped := false
	for _, t := range c {
		if t == nil {
			continue
		}
		for _, h := range t.any {
			keep((*h)(ctx, m))
		}
		wrapped = wrapped || len(t.middleware) > 0
	}
	if !wrapped {
		keep(c.events(ctx, m))
		return err
	}
	next := Handler(c.events)
	for i := len(c) - 1; i >= 0; i-- {
		if c[i] == nil {
			continue
		}
		for _, mw := range slices.Backward(c[i].middleware) {
			next = mw(next)
		}
	}
	keep(next(ctx, m))
	return err
}

// events runs the event's own handlers.
func (c chain) events(ctx context.Context, m *Message) (err error) {
	for _, t := range c {
		if t == nil {
			continue
		}
		for _, h := range t.events[m.event] {
			if e := (*h)(ctx, m); e != nil && err == nil {
				err = e
			}
		}
	}
	return err
}
