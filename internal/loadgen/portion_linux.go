package loadgen

import (
	"fmt"
	"math"
)

// portion is one process's part of a run.
type portion struct {
	Config Config
	Part   int // from 0
	Parts  int
	Source int // number of its first source address
}

// name tells the rooms of the share from those of the others.
func (s *portion) name() string {
	if s.Parts == 1 {
		return ""
	}
	return fmt.Sprintf("%d-", s.Part)
}

// unit is how many connections must stay in one process: a room, or a pair.
func (c Config) unit() int {
	switch {
	case c.Mode == Direct:
		return 2
	case c.Mode.inRooms():
		return c.Room
	}
	return 1
}

// portions deals the connections of a run to so many processes, and with them
// the load. Rooms and pairs stay together.
func portions(c Config, processes int) ([]portion, error) {
	unit := c.unit()
	units := (c.Conns + unit - 1) / unit
	if processes > units {
		return nil, fmt.Errorf("socketeer: %d processes for %s: a process needs at least one, and they are not shared",
			processes, c.units(units))
	}
	sources := c.sources(c.largest(processes))
	parts := make([]portion, processes)
	for k := range parts {
		from, to := k*units/processes*unit, min(c.Conns, (k+1)*units/processes*unit)
		part := c
		part.Conns = to - from
		part.Room = min(part.Room, part.Conns) // the last may be smaller
		if part.Rate = c.Rate * float64(part.Conns) / float64(c.Conns); c.Mode == Drops {
			part.Rate = part.dropsRate()
		}
		part.ConnectInflight = max(1, c.ConnectInflight/processes)
		part.Loops = max(1, min(part.Loops, part.Conns/min(2, unit)))
		// The next process goes on with the server after the last one's.
		first := from % len(c.Addrs)
		part.Addrs = append(append([]string{}, c.Addrs[first:]...), c.Addrs[:first]...)
		part.Servers, part.Worker, part.Processes, part.Progress = nil, nil, 0, nil
		parts[k] = portion{Config: part, Part: k, Parts: processes, Source: k * sources}
	}
	return parts, nil
}

// largest is how many connections the largest of so many portions has.
func (c Config) largest(processes int) int {
	unit := c.unit()
	units := (c.Conns + unit - 1) / unit
	return min(c.Conns, (units+processes-1)/processes*unit)
}

// units names a number of what must stay in one process.
func (c Config) units(n int) string {
	switch {
	case c.Mode == Direct:
		return fmt.Sprintf("%d pairs", n)
	case c.Mode.inRooms():
		return fmt.Sprintf("%d rooms", n)
	}
	return fmt.Sprintf("%d connections", n)
}

// sockets is how many TCP connections a run may have: two for a client on HTTP
// long-polling.
func (c Config) sockets() int { return c.socketsOf(c.Conns) }

// socketsOf is how many so many of its connections may have. A client that
// comes back has closed its old ones.
func (c Config) socketsOf(conns int) int {
	return conns + int(math.Ceil(float64(conns)*c.Polling))
}

// fit fails when one of so many processes would need more files than it may
// have open.
func (c Config) fit(processes int, files uint64) error {
	need := func(conns int) uint64 { return uint64(c.socketsOf(conns)) + spareFiles }
	largest := c.largest(processes)
	if need(largest) <= files {
		return nil
	}
	err := &FileLimitError{Conns: largest, Need: need(largest), Have: files}
	switch {
	case c.Mode == Broadcast:
		err.Instead = ": more processes do not help, the room is in one"
	case c.Mode.inRooms() && need(c.unit()) > files:
		err.Instead = " or have smaller rooms (--room): all of one is in one process"
	case processes == MaxProcesses:
		err.Instead = fmt.Sprintf(": more than %d processes are too many", MaxProcesses)
	}
	return err
}

// processesFor returns how many processes a run needs when each may have so
// many files open, 1 when it cannot be helped by more.
func (c Config) processesFor(files uint64) int {
	files = min(files, math.MaxInt32)
	room := (int(files) - spareFiles) * c.Conns / c.sockets() // connections a process
	unit := c.unit()
	if room < unit {
		return 1
	}
	units := (c.Conns + unit - 1) / unit
	per := room / unit
	return (units + per - 1) / per
}
