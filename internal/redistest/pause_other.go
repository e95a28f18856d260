//go:build !unix

package redistest

// Pause stops the process in its tracks, where that can be done: here not.
func (s *Server) Pause() { s.tb.Skip("processes cannot be stopped here") }

// Resume has a paused server go on.
func (s *Server) Resume() { s.tb.Skip("processes cannot be stopped here") }
