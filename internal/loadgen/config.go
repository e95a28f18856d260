package loadgen

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"
)

// Mode is the kind of load a run puts on the servers.
type Mode string

// The modes.
const (
	// Idle connects and then only answers heartbeats: accept rate and memory.
	Idle Mode = "idle"
	// Echo sends "echo" and waits for its acknowledgement.
	Echo Mode = "echo"
	// Rooms puts the connections into rooms and sends "say" to them.
	Rooms Mode = "rooms"
	// Broadcast is Rooms with one room of all connections.
	Broadcast Mode = "broadcast"
	// Direct pairs the connections, on different servers when there are
	// several, and sends "say" from each to its partner alone.
	Direct Mode = "direct"
	// Storm puts the connections into rooms, cuts all of them at once and
	// measures how they come back.
	Storm Mode = "storm"
	// Drops cuts each connection again and again for a while, as bad networks
	// do, while numbered messages are sent to its room, and counts what each
	// got. The first member of each room sends and is never cut.
	Drops Mode = "drops"
	// Deploy is Rooms, paced, while servers are replaced (Config.During):
	// connections that are lost come back, to any of the servers that is
	// there, as behind a load balancer.
	Deploy Mode = "deploy"
)

// inRooms tells whether the connections join rooms.
func (m Mode) inRooms() bool { return m == Rooms || m == Broadcast || m.cuts() }

// cuts tells whether connections are cut, by us or by servers that end, and
// come back.
func (m Mode) cuts() bool { return m == Storm || m == Drops || m == Deploy }

// Cut is how connections are cut.
type Cut string

// The ways to cut a connection.
const (
	// RST resets it: the server's next read or write fails.
	RST Cut = "rst"
	// FIN ends it without a close frame, as a process that dies does.
	FIN Cut = "fin"
)

// Limits of a configuration.
const (
	// MinPayload is what the time, the sender and the sequence number take.
	MinPayload = stampSize
	// MaxPayload keeps a frame well inside one read.
	MaxPayload = 16 << 10
	// MaxSenders is how many members of a room take turns to send. Each
	// receiver remembers one sequence number a sender; without a bound, one
	// room of 10,000 would need a hundred million of them.
	MaxSenders = 128
	// MaxProcesses is how many processes may share a run's connections. Each
	// has source addresses of its own in 127.0.0.0/8.
	MaxProcesses = 64
)

// Config describes a run. A zero field means the default it documents.
type Config struct {
	// Addrs are the servers, as host:port. Connections are dealt to them in
	// turn, so that the members of a room are on different servers. Required.
	Addrs []string
	// Path is the Engine.IO path; default "/socket.io/".
	Path string
	// Mode is required.
	Mode Mode
	// Conns is the number of connections; required.
	Conns int
	// Room is the number of members a room, in Rooms; default 100. When it
	// does not divide Conns, the last room is smaller. In Broadcast it is Conns.
	Room int
	// ToUser makes each connection join a room of its own, "user:" and a
	// number, in Direct, and its partner sends to that. Otherwise a partner
	// sends to the socket's id, a room that each socket is in from the start.
	ToUser bool
	// Rate is in deliveries a second in rooms, else in messages a second.
	// Sends then leave by the clock, whatever the servers do, and latency
	// counts from the time a send was due. 0 saturates instead: see Inflight.
	Rate float64
	// Inflight bounds a saturated run: messages on their way per connection
	// in Echo and Direct (default 1), and per room in rooms (default 3), where the next
	// member sends when a sender got its own message back. Servers that join
	// several messages in one write cost less per delivery the more there are:
	// compare runs with the same number only.
	Inflight int
	// Coalesce is how long a saturated loop looks away after it was woken for
	// a few events only, as network cards do with interrupts. Otherwise nearly
	// each write of the server wakes the generator, which on one machine is
	// a fifth of the server's CPU time in Echo and none of its own doing.
	// Default 50 us; negative: none. Not used with a rate, where it would show
	// in the latency, nor when too little is in flight to keep a server busy.
	Coalesce time.Duration
	// Polling is the share of the connections, 0 to 1, that stay on HTTP
	// long-polling: a GET is always parked, packets are sent by POST. Each may
	// have two TCP connections. Default 0: all are on WebSocket.
	Polling float64
	// Payload is the size of the data in bytes, MinPayload to MaxPayload;
	// default 64.
	Payload int
	// Warmup runs the load before the measured part; default none.
	Warmup time.Duration
	// Duration is the measured part; default 10 s. In Idle it is the time the
	// connections are held after memory was read, to see what heartbeats cost;
	// default none. In Storm it is how long the connections are waited for;
	// default 60 s.
	Duration time.Duration
	// Settle is waited in Idle and Storm before memory is read, so that garbage
	// of the handshakes is gone; default 5 s, negative: not at all.
	Settle time.Duration
	// Cut is how connections are cut in Storm and Drops; default RST.
	Cut Cut
	// ReconnectDelay is what a client that was cut waits, times 0.5 to 1.5 at
	// random, before it comes back in Storm and Deploy; twice that after each attempt
	// that failed, up to 5 s. Default 1 s, as the JavaScript client has it;
	// negative: none. In Drops it only counts after a failed attempt.
	ReconnectDelay time.Duration
	// DropEvery and DropFor are how often each connection is cut in Drops, and
	// how long it stays away; default 15 s and 2 s. Connections are cut one
	// after another, evenly over DropEvery.
	DropEvery, DropFor time.Duration
	// Messages and MessageEvery are how many messages are sent to each room in
	// Drops, at which pace; default 120, 500 ms. They decide on Rate, Duration
	// and Warmup.
	Messages     int
	MessageEvery time.Duration
	// During is called when the measured part of Deploy begins: it replaces
	// servers, and the run does not end before it has returned. Its error ends
	// the run.
	During func(context.Context) error `json:"-"`
	// Recover makes connections that come back in Drops and Deploy ask for the
	// session they had, when the server has given them an id for it (connection
	// state recovery).
	Recover bool
	// Drain is how long outstanding messages are waited for after the last
	// send, before they count as missing; default 5 s, negative: not at all.
	Drain time.Duration
	// Patience is how long nothing may happen while connections are set up,
	// before the run fails; default 15 s.
	Patience time.Duration
	// ConnectInflight bounds the connections being opened at once; default 256,
	// which fits the listen backlog of every common server.
	ConnectInflight int
	// Loops is the number of event loops, each on its own thread; default 1.
	Loops int
	// Processes is the number of processes that share the connections, each
	// with so many loops; rooms and pairs stay within one. Default: as many as
	// it takes because a process may open only so many files, if Worker is
	// set, else 1. With 1, the connections are this process's own.
	Processes int
	// Worker is the command, and its arguments, of a process that calls [Work]
	// with its standard input and output; needed for several Processes.
	Worker []string
	// PIDs are the server processes whose CPU time and memory are read;
	// they must run on this machine. Default none: nothing is read.
	PIDs []int
	// Servers returns further ones when servers are replaced: those that run
	// now, and the CPU time that those which have ended had taken. It is called
	// several times a second, by several goroutines.
	Servers func() (pids []int, ended time.Duration) `json:"-"`
	// Progress, when set, is called about once a second, from one goroutine.
	Progress func(Progress) `json:"-"`
}

// withDefaults returns c with its zero fields filled in.
func (c Config) withDefaults() Config {
	set(&c.Path, "/socket.io/")
	if c.Mode == Broadcast {
		c.Room = c.Conns
	}
	set(&c.Room, 100)
	set(&c.Payload, 64)
	set(&c.Settle, 5*time.Second)
	set(&c.Drain, 5*time.Second)
	set(&c.Patience, 15*time.Second)
	set(&c.ConnectInflight, 256)
	set(&c.Loops, 1)
	set(&c.Coalesce, 50*time.Microsecond)
	set(&c.DropEvery, 15*time.Second)
	set(&c.DropFor, 2*time.Second)
	set(&c.Messages, 120)
	set(&c.MessageEvery, 500*time.Millisecond)
	set(&c.Cut, RST)
	set(&c.ReconnectDelay, time.Second)
	switch c.Mode {
	case Idle:
	case Storm:
		set(&c.Duration, 60*time.Second)
	case Drops:
		set(&c.Rate, c.dropsRate())
		// The end is half a send early, so that rounding adds no message.
		rooms := (c.Conns + c.Room - 1) / max(1, c.Room)
		c.Warmup, c.Duration = 0, time.Duration(c.Messages)*c.MessageEvery-c.MessageEvery/time.Duration(max(1, 2*rooms))
	case Deploy:
		set(&c.Rate, 5*float64(c.Conns))
		set(&c.Duration, 10*time.Second)
	default:
		set(&c.Duration, 10*time.Second)
	}
	switch {
	case c.Mode == Echo || c.Mode == Direct:
		set(&c.Inflight, 1)
	case c.Mode.inRooms():
		set(&c.Inflight, 3)
	}
	if c.Progress == nil {
		c.Progress = func(Progress) {}
	}
	return c
}

// to says whom a run in Direct sends to.
func (c Config) to() string {
	s := "socket"
	if c.ToUser {
		s = "user"
	}
	if len(c.Addrs) > 1 {
		s += " on another server"
	}
	return s
}

func set[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// dropsRate returns the deliveries a second in Drops.
func (c Config) dropsRate() float64 { return float64(c.Conns) / c.MessageEvery.Seconds() }

// Modes returns all modes.
func Modes() []Mode { return slices.Clone(modes) }

var modes = []Mode{Idle, Echo, Rooms, Broadcast, Direct, Storm, Drops, Deploy}

func (c Config) validate() error {
	if !slices.Contains(modes, c.Mode) {
		return fmt.Errorf("socketeer: mode %q is none of %v", c.Mode, modes)
	}
	if len(c.Addrs) == 0 {
		return errors.New("socketeer: no server address to put load on")
	}
	for _, a := range c.Addrs {
		if _, port, err := net.SplitHostPort(a); err != nil || port == "" {
			return fmt.Errorf("socketeer: server address %q is not host:port", a)
		}
	}
	for _, n := range []struct {
		what    string
		v, from int
	}{
		{"connections", c.Conns, 1},
		{"room size", c.Room, 1},
		{"messages in flight", c.Inflight, 0},
		{"connections being opened", c.ConnectInflight, 1},
		{"event loops", c.Loops, 1},
	} {
		if n.v < n.from {
			return fmt.Errorf("socketeer: number of %s is %d, must be at least %d", n.what, n.v, n.from)
		}
	}
	if c.Mode.inRooms() && c.Room > c.Conns {
		return fmt.Errorf("socketeer: a room of %d needs more than %d connections", c.Room, c.Conns)
	}
	if c.Mode == Direct && (c.Conns%2 != 0 || c.Loops > c.Conns/2) {
		return fmt.Errorf("socketeer: %d connections on %d event loops: direct needs pairs, and one for each loop", c.Conns, c.Loops)
	}
	if c.ToUser && c.Mode != Direct {
		return fmt.Errorf("socketeer: sending to users is for direct, not %s", c.Mode)
	}
	if c.Processes < 0 || c.Processes > MaxProcesses {
		return fmt.Errorf("socketeer: %d processes for the load: takes 1 to %d", c.Processes, MaxProcesses)
	}
	if c.Processes > 1 && len(c.Worker) == 0 {
		return fmt.Errorf("socketeer: %d processes for the load, and no command to start them by", c.Processes)
	}
	if c.Loops > c.Conns {
		return fmt.Errorf("socketeer: %d event loops for %d connections", c.Loops, c.Conns)
	}
	if err := c.validateCuts(); err != nil {
		return err
	}
	if !(c.Polling >= 0 && c.Polling <= 1) {
		return fmt.Errorf("socketeer: share of connections on polling is %g, must be 0 to 1", c.Polling)
	}
	if c.Rate < 0 {
		return fmt.Errorf("socketeer: rate %g is negative", c.Rate)
	}
	if c.Payload < MinPayload || c.Payload > MaxPayload {
		return fmt.Errorf("socketeer: payload of %d bytes, must be %d to %d", c.Payload, MinPayload, MaxPayload)
	}
	for _, d := range []time.Duration{c.Warmup, c.Duration, c.Patience} {
		if d < 0 {
			return fmt.Errorf("socketeer: duration %v is negative", d)
		}
	}
	return nil
}

// validateCuts checks what Storm and Drops need.
func (c Config) validateCuts() error {
	switch {
	case c.Cut != RST && c.Cut != FIN:
		return fmt.Errorf("socketeer: connections are cut by %q, must be rst or fin", c.Cut)
	case c.During != nil && c.Mode != Deploy:
		return fmt.Errorf("socketeer: servers are not replaced in %s", c.Mode)
	case c.Mode == Storm && c.Rate != 0:
		return errors.New("socketeer: storm has no rate")
	case c.Recover && c.Mode != Drops && c.Mode != Deploy:
		return fmt.Errorf("socketeer: no session is recovered in %s", c.Mode)
	case c.Mode != Drops:
		return nil
	case c.Room < 2:
		return errors.New("socketeer: a room in drops needs two members: the first sends and is not cut")
	case c.Messages < 1 || c.MessageEvery < 0:
		return fmt.Errorf("socketeer: %d messages, one each %v: both must be positive", c.Messages, c.MessageEvery)
	case c.DropFor < 0 || c.DropFor >= c.DropEvery:
		return fmt.Errorf("socketeer: cut for %v every %v: must be shorter and positive", c.DropFor, c.DropEvery)
	case c.Rate != c.dropsRate():
		return errors.New("socketeer: the rate of drops follows from how often messages are sent")
	}
	return nil
}
