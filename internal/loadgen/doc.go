// Package loadgen puts load on Socket.IO servers and measures what it costs
// them.
//
// Its clients are raw: WebSocket connections on epoll, and HTTP long-polling
// ones when asked for, read by one thread into one buffer, that recognise the
// few messages of the bench application by their first bytes and decode no
// JSON. Generator and server usually share a machine, and what one spends the
// other lacks, so every run also reports what the generator itself took.
//
// # The bench application
//
// The servers serve, on the namespace "/":
//
//	join (room, ack)  joins the room and acknowledges
//	echo (data, ack)  acknowledges with data
//	say  (room, data) emits msg (data) to everyone in the room, sender included
//
// # What is measured
//
// Latency of a paced run counts from the time a send was due, not from when
// it left, so a server that holds the generator up cannot hide it. A send that
// is a second late, or whose connection still has not taken the one before,
// is missed and counted.
//
// CPU time comes from the kernel's process clocks (clock_gettime on the
// process's CPU clock: user and system time of all threads, the ended ones
// included, in nanoseconds). On loopback, the receiver's share of TCP
// processing runs mostly on the sender's account; this holds for all servers
// alike. Memory is the resident set (Rss in /proc/PID/smaps_rollup).
//
// # Processes
//
// A process may open only so many files, and has so many local ports towards a
// server. So the connections of a run, in any mode, can be those of several
// processes ([Work]) with source addresses of their own in 127.0.0.0/8. They
// are conducted by one over their standard streams: phases begin at a time of
// the machine's clock, which they share, counts are added up, and histograms
// merged. A client that comes back closes its old sockets before it opens new
// ones, so it takes no more files than one that stays; its port may be in
// TIME_WAIT then, and it gets another.
//
// The package needs Linux; elsewhere [Run] returns an error.
package loadgen
