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
// The package needs Linux; elsewhere [Run] returns an error.
package loadgen
