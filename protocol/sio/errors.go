package sio

// SyntaxError says that bytes from a peer are not a valid Socket.IO packet.
// The connection they came from cannot be used any further.
type SyntaxError struct {
	// Reason is a short phrase such as "reserved event name". It is constant
	// text that contains nothing the peer sent.
	Reason string
}

// Error returns the reason with a prefix.
func (e *SyntaxError) Error() string {
	return "socketeer: malformed socket.io packet: " + e.Reason
}

func syntaxError(reason string) error { return &SyntaxError{Reason: reason} }
