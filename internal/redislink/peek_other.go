//go:build !unix

package redislink

// dead cannot tell here: what is sent first after the other end has closed an
// idle connection is lost.
func (n *node) dead() bool { return n.pipeline.Load() == nil }
