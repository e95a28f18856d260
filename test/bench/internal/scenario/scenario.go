// Package scenario says what is measured: the loads, the figures read from
// their reports, and what those must show.
package scenario

import (
	"fmt"
	"math"
	"strconv"
	"time"
)

// Scenario is a load that "socketeer bench" puts on servers.
type Scenario struct {
	Name  string
	Nodes int // of the server, each a process
	Conns int
	Room  int     // members of a room; 0 without rooms
	Rate  float64 // deliveries a second; 0 saturates

	mode mode
	// long gives the load twice the warm-up: 10,000 connections need it.
	long bool
	// rounds bounds the rounds of what takes long and differs little from one
	// to the next; 0: no bound.
	rounds int
}

// mode is what a load does, and what is read from its report.
type mode interface {
	// title describes the load, behind the number of connections.
	title(s Scenario) string
	// args are the arguments of "socketeer bench", without the servers.
	args(s Scenario, d time.Duration) []string
	metrics(s Scenario) []Metric
	// lacks names what a report must hold and does not; "" when all is there.
	lacks(r *Report) string
}

// All returns the scenarios, in the order in which they run.
func All() []Scenario {
	return []Scenario{
		{Name: "idle", mode: idle{}, Nodes: 1, Conns: 10_000},
		{Name: "echo", mode: echo{}, Nodes: 1, Conns: 500},
		{Name: "rooms", mode: rooms{}, Nodes: 1, Conns: 5_000, Room: 100},
		{Name: "broadcast", mode: rooms{}, Nodes: 1, Conns: 10_000, Room: 10_000, long: true},
		{Name: "paced", mode: rooms{}, Nodes: 1, Conns: 10_000, Room: 100, Rate: 50_000, long: true},
		{Name: "storm", mode: storm{}, Nodes: 1, Conns: 10_000, Room: 100},
		{Name: "drops", mode: drops{}, Nodes: 1, Conns: 1_000, Room: 100, rounds: 2},
		{Name: "cluster-paced", mode: rooms{}, Nodes: 3, Conns: 6_000, Room: 100, Rate: 20_000},
		{Name: "cluster-rooms", mode: rooms{}, Nodes: 3, Conns: 6_000, Room: 100},
		{Name: "cluster-pairs", mode: rooms{}, Nodes: 3, Conns: 6_000, Room: 2, Rate: 6_000},
		{Name: "direct", mode: direct{}, Nodes: 3, Conns: 600},
		{Name: "deploy", mode: deploy{}, Nodes: 3, Conns: 3_000, Room: 100, Rate: 10_000, rounds: 2},
		{Name: "deploy-kill", mode: deploy{kill: true}, Nodes: 3, Conns: 3_000, Room: 100, Rate: 10_000, rounds: 2},
	}
}

// Scaled returns s with that part of its connections and its rate. Rooms keep
// their size, except when they would be larger than what is left. Connections
// come in pairs.
func (s Scenario) Scaled(scale float64) Scenario {
	s.Conns = max(2*s.Nodes, 2*int(math.Round(float64(s.Conns)*scale/2)))
	s.Room = min(s.Room, s.Conns)
	s.Rate *= scale
	return s
}

// Rounds returns in how many rounds s runs when so many are asked for.
func (s Scenario) Rounds(asked int) int {
	if s.rounds == 0 {
		return asked
	}
	return min(s.rounds, asked)
}

// Fresh reports whether servers are started afresh for each run: where memory
// is measured, what was used before would be used again unseen.
func (s Scenario) Fresh() bool { return s.mode == idle{} }

// Replaces reports whether servers are replaced under load. "socketeer bench
// deploy" then starts them, afresh for each run.
func (s Scenario) Replaces() bool {
	_, replaces := s.mode.(deploy)
	return replaces
}

// Warmups returns how many runs come before the first round and do not count:
// one, except where servers do not live that long, or nothing depends on it
// that the compiler of Node.js has seen the load.
func (s Scenario) Warmups() int {
	if s.Fresh() || s.Returns() {
		return 0
	}
	return 1
}

// Returns reports whether what clients missed while they were away is what
// counts: servers that keep sessions for them take part only there.
func (s Scenario) Returns() bool { return s.mode == drops{} || s.Replaces() }

// FansOut reports whether messages go to rooms whose members are on several
// nodes.
func (s Scenario) FansOut() bool { return s.mode == rooms{} && s.Nodes > 1 }

// Title describes s in a line.
func (s Scenario) Title() string {
	text := fmt.Sprintf("%s connections%s", thousands(s.Conns), s.mode.title(s))
	if s.Nodes > 1 {
		text = fmt.Sprintf("%d nodes, ", s.Nodes) + text
	}
	return text
}

// inRooms describes the rooms of s.
func (s Scenario) inRooms() string {
	if s.Room == s.Conns {
		return " in one room"
	}
	return fmt.Sprintf(" in rooms of %s", thousands(s.Room))
}

// Args are the arguments of "socketeer bench" for s, or, when servers are
// replaced, of "socketeer bench deploy", without the servers. A load is
// measured for d after a warm-up; an idle server is left alone for d before
// its memory is read; what takes longer grows with d.
func (s Scenario) Args(d time.Duration) []string {
	return append([]string{"--conns", strconv.Itoa(s.Conns)}, s.mode.args(s, d)...)
}

// Patience is how long the load of s may take in all.
func (s Scenario) Patience(d time.Duration) time.Duration {
	return patience + longest*d
}

const (
	// patience is how long a run may take besides its load: connections are
	// made and outstanding messages waited for.
	patience = 2 * time.Minute
	// longest is how often the measured time any load takes, at most.
	longest = 10
)

// shape are the arguments about rooms and rate.
func (s Scenario) shape() (args []string) {
	if s.Room > 0 {
		args = append(args, "--room", strconv.Itoa(s.Room))
	}
	if s.Rate > 0 {
		args = append(args, "--rate", strconv.FormatFloat(s.Rate, 'f', -1, 64))
	}
	return args
}

// thousands writes a number with commas.
func thousands(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
