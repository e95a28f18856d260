package loadgen

import "fmt"

// FileLimitError says that a run needs more open files than processes may
// have, on which side, and the numbers.
type FileLimitError struct {
	Conns      int    // connections, altogether or a process
	Servers    int    // processes that are too few; 0: the load generator is
	Need, Have uint64 // open files, of all the servers or of one process
}

// Error implements error.
func (e *FileLimitError) Error() string {
	if e.Servers > 0 {
		return fmt.Sprintf("socketeer: the limit on open files stops this: %d connections need %d open files and the %d server process(es) may have %d together (ulimit -n): "+
			"raise it or start more servers", e.Conns, e.Need, e.Servers, e.Have)
	}
	return fmt.Sprintf("socketeer: the limit on open files stops this: %d connections need %d open files and a process of the load generator may have %d: "+
		"raise the hard limit (ulimit -Hn) or share the connections among more processes (--processes)", e.Conns, e.Need, e.Have)
}
