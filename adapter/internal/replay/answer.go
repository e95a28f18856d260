package replay

import "github.com/socketeer-io/socketeer/adapter"

// Answer of a look into a history.
type Answer uint8

// The answers. Only one that is Found comes with messages.
const (
	Found   Answer = iota
	Older          // it begins before the history
	Unknown        // no message has this offset
	Gapped         // something after it is missing
)

// Err returns why a client cannot recover, or nil: of the older the log may know
// more.
func (a Answer) Err() error {
	switch a {
	case Gapped:
		return &adapter.Unrecoverable{Reason: adapter.Gap}
	case Unknown:
		return &adapter.Unrecoverable{Reason: adapter.BadOffset}
	}
	return nil
}
