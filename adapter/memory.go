package adapter

import "context"

// Memory makes adapters for a node that is alone: nothing is published, a
// request is answered by nobody at once. It is a server's default. Its adapters
// are a [Log] in the node's memory, which ends with the node.
type Memory struct {
	// LogBytes bounds what is kept for clients that come back, for each
	// namespace: messages, and as much again sessions. The oldest go first.
	// Default 64 MiB. Nothing is kept before Retain is called.
	LogBytes int
}

var (
	_ Factory = Memory{}
	_ Adapter = (*memory)(nil)
	_ Log     = (*memory)(nil)
)

const defaultLogBytes = 64 << 20

// Open returns an adapter without other nodes.
func (m Memory) Open(context.Context, string, Local) (Adapter, error) {
	if m.LogBytes <= 0 {
		m.LogBytes = defaultLogBytes
	}
	return newMemory(m.LogBytes), nil
}

// memory is alone, and its own log.
type memory struct {
	memoryLog
	sessions memorySessions
}

func (*memory) Publish(*Message) error                                  { return nil }
func (*memory) Request(context.Context, *Message, func(Response)) error { return nil }
func (*memory) Join(context.Context, string) error                      { return nil }
func (*memory) Leave(string)                                            {}
func (*memory) Close() error                                            { return nil }
