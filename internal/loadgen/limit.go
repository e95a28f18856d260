package loadgen

import (
	"fmt"
	"math"
)

// FileLimitError says that a run needs more open files than processes may
// have, on which side, the numbers, and what helps.
type FileLimitError struct {
	Conns      int    // connections, altogether or a process
	Servers    int    // processes that are too few; 0: the load generator is
	Replaced   bool   // servers are, so that Need and Have are of one of them
	Need, Have uint64 // open files, of all the servers or of one process
	// Instead is what helps where more processes of the load generator do not.
	Instead string
}

// Error implements error.
func (e *FileLimitError) Error() string {
	const stops = "socketeer: the limit on open files stops this: "
	switch {
	case e.Replaced:
		return fmt.Sprintf(stops+"of %d connections on %d server process(es) one may get so many, while the others are replaced, that it needs %d open files, and it may have %d (ulimit -n): "+
			"raise it or start more servers (--nodes)", e.Conns, e.Servers, e.Need, e.Have)
	case e.Servers > 0:
		return fmt.Sprintf(stops+"%d connections need %d open files and the %d server process(es) may have %d together (ulimit -n): "+
			"raise it or start more servers", e.Conns, e.Need, e.Servers, e.Have)
	}
	instead := e.Instead
	if instead == "" {
		instead = " or share the connections among more processes (--processes)"
	}
	return fmt.Sprintf(stops+"%d connections need %d open files and a process of the load generator may have %d: "+
		"raise the hard limit (ulimit -Hn)%s", e.Conns, e.Need, e.Have, instead)
}

// whileReplaced returns how many of the connections may be on one of the
// servers while these are replaced one by one. The clients of a server that
// is gone are dealt to the others: what one has grows by 1/(servers-1) each
// time, until its own turn comes, last of all. Dealing at random is uneven; four
// standard deviations are allowed for.
func whileReplaced(conns, servers int) int {
	if servers < 2 {
		return conns
	}
	n := float64(servers)
	most := float64(conns) / n * math.Pow(n/(n-1), n-1)
	return min(conns, int(math.Ceil(most+4*math.Sqrt(most))))
}
