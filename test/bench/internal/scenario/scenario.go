// Package scenario says what is measured: the loads, the figures read from
// their reports, and what those must show.
package scenario

import (
	"fmt"
	"math"
	"strconv"
	"time"
)

// Modes of "socketeer bench".
const (
	modeIdle  = "idle"
	modeEcho  = "echo"
	modeRooms = "rooms"
)

// Scenario is a load that "socketeer bench" puts on servers.
type Scenario struct {
	Name  string
	Nodes int // of the server, each a process
	Conns int
	Room  int     // members of a room; 0 without rooms
	Rate  float64 // deliveries a second; 0 saturates

	mode string
	// long gives the load twice the warm-up: 10,000 connections need it.
	long bool
}

// All returns the scenarios, in the order in which they run.
func All() []Scenario {
	return []Scenario{
		{Name: "idle", mode: modeIdle, Nodes: 1, Conns: 10_000},
		{Name: "echo", mode: modeEcho, Nodes: 1, Conns: 500},
		{Name: "rooms", mode: modeRooms, Nodes: 1, Conns: 5_000, Room: 100},
		{Name: "broadcast", mode: modeRooms, Nodes: 1, Conns: 10_000, Room: 10_000, long: true},
		{Name: "paced", mode: modeRooms, Nodes: 1, Conns: 10_000, Room: 100, Rate: 50_000, long: true},
		{Name: "cluster-paced", mode: modeRooms, Nodes: 3, Conns: 6_000, Room: 100, Rate: 20_000},
		{Name: "cluster-rooms", mode: modeRooms, Nodes: 3, Conns: 6_000, Room: 100},
		{Name: "cluster-pairs", mode: modeRooms, Nodes: 3, Conns: 6_000, Room: 2, Rate: 6_000},
	}
}

// Scaled returns s with that part of its connections and its rate. Rooms keep
// their size, except when they would be larger than what is left.
func (s Scenario) Scaled(scale float64) Scenario {
	s.Conns = max(2*s.Nodes, int(math.Round(float64(s.Conns)*scale)))
	s.Room = min(s.Room, s.Conns)
	s.Rate *= scale
	return s
}

// Idle reports whether nothing is sent. Its servers are then started afresh
// for each run: memory that was used before would be used again unseen.
func (s Scenario) Idle() bool { return s.mode == modeIdle }

// Title describes s in a line.
func (s Scenario) Title() string {
	text := fmt.Sprintf("%s connections", thousands(s.Conns))
	switch s.mode {
	case modeIdle:
		text += " that do nothing"
	case modeEcho:
		text += ", each sends and waits for the acknowledgement"
	default:
		if s.Room == s.Conns {
			text += " in one room"
		} else {
			text += fmt.Sprintf(" in rooms of %s", thousands(s.Room))
		}
		if s.Rate > 0 {
			text += fmt.Sprintf(", %s deliveries/s", thousands(int(s.Rate)))
		} else {
			text += ", saturated"
		}
	}
	if s.Nodes > 1 {
		text = fmt.Sprintf("%d nodes, ", s.Nodes) + text
	}
	return text
}

// Args are the arguments of "socketeer bench" for s, without the servers. A
// load is measured for d after a warm-up; an idle server is left alone for d
// before its memory is read.
func (s Scenario) Args(d time.Duration) []string {
	args := []string{"--mode", s.mode, "--conns", strconv.Itoa(s.Conns)}
	if s.Idle() {
		return append(args, "--settle", d.String())
	}
	warmup := d / 4
	if s.long {
		warmup = d / 2
	}
	args = append(args, "--duration", d.String(), "--warmup", warmup.String())
	if s.Room > 0 {
		args = append(args, "--room", strconv.Itoa(s.Room))
	}
	if s.Rate > 0 {
		args = append(args, "--rate", strconv.FormatFloat(s.Rate, 'f', -1, 64))
	}
	return args
}

// message is what one unit of the load is called.
func (s Scenario) message() string {
	if s.mode == modeRooms {
		return "delivery"
	}
	return "message"
}

// thousands writes a number with commas.
func thousands(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
