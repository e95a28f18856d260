package supervisor

import "os"

// exitState tells how a process ended.
type exitState struct{ *os.ProcessState }

// String returns for instance "exit status 1" or "signal: killed".
func (e exitState) String() string {
	if e.ProcessState == nil {
		return "unknown end"
	}
	return e.ProcessState.String()
}
