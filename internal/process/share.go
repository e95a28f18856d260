package process

import (
	"fmt"
	"runtime"
	"strings"
)

// processors is what the Go runtime reads.
const processors = "GOMAXPROCS="

// Share adds to environ, for each of n Go programs that run at the same time,
// its part of this process's processors: at least one. More of them would only
// wake more threads for each message, on processors that others need. Whoever
// has set GOMAXPROCS has decided otherwise. The caller's slice is not changed.
func Share(environ []string, n int) []string {
	for _, v := range environ {
		if strings.HasPrefix(v, processors) {
			return environ
		}
	}
	return append(environ[:len(environ):len(environ)], fmt.Sprint(processors, max(1, runtime.GOMAXPROCS(0)/n)))
}
