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
	Removed        // the log has no more what came after it
	TooMuch        // what came after it is more than may be remembered
)

// err returns why a client cannot recover, or nil. TooMuch is behind the answer
// of that name.
func (a Answer) err(tooMuch error) error {
	switch a {
	case Gapped:
		return &adapter.Unrecoverable{Reason: adapter.Gap}
	case Unknown:
		return &adapter.Unrecoverable{Reason: adapter.BadOffset}
	case Removed:
		return &adapter.Unrecoverable{Reason: adapter.Trimmed}
	case TooMuch:
		return &adapter.Unrecoverable{Reason: adapter.LogFailure, Err: tooMuch}
	}
	return nil
}
