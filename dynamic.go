package socketeer

import (
	"context"
	"encoding/json"
	"iter"
	"regexp"
)

// Dynamic stands for the namespaces that clients make by joining them, among
// the names that a pattern or a function allows. What is registered with it
// holds for those made afterwards.
//
// Its broadcasts go to all of its namespaces that exist on this node; what
// wants an answer is not possible, see [ErrDynamic].
type Dynamic struct {
	Broadcaster
	template

	srv     *Server
	allow   func(ctx context.Context, name string, auth json.RawMessage) (bool, error)
	pattern *regexp.Regexp // nil for a function
}

// OfPattern returns the template of namespaces whose whole name, such as
// "/dynamic-101", the expression matches. [Server.Of] makes such a namespace
// from it, too.
func (s *Server) OfPattern(re *regexp.Regexp) *Dynamic {
	whole := regexp.MustCompile(`^(?:` + re.String() + `)$`)
	return s.addDynamic(&Dynamic{pattern: whole, allow: func(_ context.Context, name string, _ json.RawMessage) (bool, error) {
		return whole.MatchString(name), nil
	}})
}

// OfFunc returns the template of namespaces that a function allows. It gets the
// name, and what the client sent to authenticate itself. It is asked only for
// names without a namespace, in the order of OfFunc and OfPattern calls; an
// error counts as false.
func (s *Server) OfFunc(allow func(ctx context.Context, name string, auth json.RawMessage) (bool, error)) *Dynamic {
	return s.addDynamic(&Dynamic{allow: allow})
}

func (s *Server) addDynamic(d *Dynamic) *Dynamic {
	d.srv = s
	d.Broadcaster.dynamic = d
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dynamics = append(s.dynamics, d)
	return d
}

// Namespaces yields the namespaces that exist now on this node.
func (d *Dynamic) Namespaces() iter.Seq[*Namespace] {
	return func(yield func(*Namespace) bool) {
		for n := range d.srv.Namespaces() {
			if n.parent == d && !yield(n) {
				return
			}
		}
	}
}
