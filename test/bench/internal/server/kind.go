// Package server starts and stops the servers that are compared: ours, and
// the same application on Node.js.
package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"unicode"

	"github.com/socketeer-io/socketeer/test/bench/internal/scenario"
)

// Ours is the name of the server that the others are compared with.
const Ours = "ours"

// Kind is a server that takes part.
type Kind struct {
	Name  string
	Title string

	// Against is the peer that a server of ours is compared with; empty: it is
	// a peer, or Ours, which is compared with all.
	Against string

	nodes   []int  // how many it can be
	script  string // in the folder of the peers; empty: ours
	adapter string // what joins several, as the server calls it
	redis   bool   // the adapter needs a Redis
	fanout  bool   // takes part only where messages go to rooms on several nodes
	// recovers is a server that keeps sessions for clients that come back. It
	// takes part where that shows.
	recovers bool
}

// All returns the kinds of server, ours first.
func All() []Kind {
	return []Kind{
		{Name: Ours, Title: "Socketeer; several nodes on adapter mesh, each with its share of the processors", nodes: []int{1, 3}, adapter: "mesh"},
		{Name: "ours-recovery", Title: "Socketeer with recovery", Against: "ws-streams-recovery", nodes: []int{1, 3}, adapter: "mesh", recovers: true},
		{Name: "ours-nats", Title: "Socketeer on adapter nats", Against: "uws-redis", nodes: []int{3}, adapter: "nats", fanout: true},
		{Name: "ours-redis", Title: "Socketeer on adapter redis", Against: "uws-redis", nodes: []int{3}, adapter: "redis", redis: true, fanout: true},
		{Name: "ours-sharded", Title: "Socketeer on adapter redis-sharded", Against: "uws-redis", nodes: []int{3}, adapter: "redis-sharded", redis: true, fanout: true},
		{Name: "ours-streams", Title: "Socketeer on adapter redis-streams", Against: "ws-streams", nodes: []int{3}, adapter: "redis-streams", redis: true, fanout: true},
		{Name: "uws", Title: "socket.io on uWebSockets.js", nodes: []int{1}, script: "uws-server.js"},
		{Name: "ws", Title: "socket.io on its default engine, ws", nodes: []int{1}, script: "ws-server.js"},
		{Name: "ws-recovery", Title: "ws with connection state recovery", nodes: []int{1}, script: "ws-server.js", recovers: true},
		{Name: "uws-redis", Title: "socket.io on uWebSockets.js, @socket.io/redis-adapter", nodes: []int{3}, script: "uws-server.js", adapter: "redis", redis: true},
		{Name: "ws-redis", Title: "socket.io on ws, @socket.io/redis-adapter", nodes: []int{3}, script: "ws-server.js", adapter: "redis", redis: true},
		{Name: "ws-streams", Title: "socket.io on ws, @socket.io/redis-streams-adapter", nodes: []int{3}, script: "ws-server.js", adapter: "redis-streams", redis: true},
		{Name: "ws-streams-recovery", Title: "ws-streams with connection state recovery", nodes: []int{3}, script: "ws-server.js", adapter: "redis-streams", redis: true, recovers: true},
	}
}

// Plays reports whether k takes part in s.
func (k Kind) Plays(s scenario.Scenario) bool {
	return slices.Contains(k.nodes, s.Nodes) && (!k.recovers || s.Returns()) && (!k.fanout || s.FansOut())
}

// Tools says where the servers' programs are.
type Tools struct {
	Socketeer string // the binary, for ours
	Peers     string // the folder of the Node.js servers
	Node      string // node, for the peers
	Redis     string // redis-server, for several of them
}

// Check makes sure that all that kinds need is installed, and says how to
// install what is not. It makes relative paths absolute.
func (t *Tools) Check(kinds []Kind) error {
	var problems []string
	// The binary is what puts the load on all others, too.
	if path, err := exec.LookPath(t.Socketeer); err != nil {
		problems = append(problems, fmt.Sprintf("no executable %s: run make build", t.Socketeer))
	} else if t.Socketeer, err = filepath.Abs(path); err != nil {
		return fmt.Errorf("socketeer: %w", err)
	}
	if slices.ContainsFunc(kinds, func(k Kind) bool { return k.script != "" }) {
		problems = append(problems, t.checkNode()...)
	}
	if slices.ContainsFunc(kinds, func(k Kind) bool { return k.redis }) {
		path, err := exec.LookPath(t.Redis)
		if err != nil {
			problems = append(problems, fmt.Sprintf("%s is not installed: run scripts/setup, or leave out what needs it with --servers", t.Redis))
		}
		t.Redis = path
	}
	if len(problems) > 0 {
		return errors.New("socketeer: " + strings.Join(problems, "; "))
	}
	return nil
}

func (t *Tools) checkNode() (problems []string) {
	path, err := exec.LookPath(t.Node)
	if err != nil {
		problems = append(problems, fmt.Sprintf("%s is not installed: install Node.js 20 or newer, or compare with --servers %s alone", t.Node, Ours))
	}
	if strings.ContainsFunc(path, unicode.IsSpace) {
		problems = append(problems, fmt.Sprintf("%q: a command with a space in its path cannot be handed to bench deploy", path))
	}
	t.Node = path
	if t.Peers, err = filepath.Abs(t.Peers); err != nil {
		return append(problems, err.Error())
	}
	for _, name := range []string{"socket.io", "@socket.io/redis-adapter", "@socket.io/redis-streams-adapter", "@trufflesuite/uws-js-unofficial"} {
		if _, err := os.Stat(filepath.Join(t.Peers, "node_modules", name)); errors.Is(err, fs.ErrNotExist) {
			return append(problems, fmt.Sprintf("the packages of the Node.js servers are not installed: run npm ci in %s", t.Peers))
		}
	}
	return problems
}

// Versions are those of the programs, as far as they tell. Check must have
// passed.
func (t *Tools) Versions(ctx context.Context) []string {
	var versions []string
	for _, argv := range [][]string{
		{t.Socketeer, "version"},
		{t.Node, "-p", "`Node.js ${process.version}, socket.io ${require(process.argv[1]).version}`", filepath.Join(t.Peers, "node_modules", "socket.io", "package.json")},
		{t.Redis, "--version"},
	} {
		out, err := exec.CommandContext(ctx, argv[0], argv[1:]...).Output()
		if err != nil {
			continue
		}
		text, _, _ := strings.Cut(strings.TrimSpace(string(out)), " sha=") // of Redis, which tells much more
		versions = append(versions, text)
	}
	return versions
}
