package app

import "os"

// ballastSize is how much garbage a node may make between two collections at
// the least.
const ballastSize = 16 << 20

// newBallast returns memory that is never touched, and so never resident. The
// garbage collector counts it, and lets a heap of a few megabytes grow by as
// much as this before it collects, instead of doubling: a busy server with
// little to keep would collect many times a second, for about a tenth of its
// processor time. A large heap does not notice. Whoever sets GOGC or GOMEMLIMIT
// has decided otherwise.
func newBallast() []byte {
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return nil
	}
	return make([]byte, ballastSize)
}
