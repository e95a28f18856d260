package adapter

import "context"

// Memory makes adapters for a node that is alone: nothing is published, a
// request is answered by nobody at once. It is a server's default.
type Memory struct{}

var _ Factory = Memory{}

// Open returns an adapter without other nodes.
func (Memory) Open(context.Context, string, Local) (Adapter, error) { return memory{}, nil }

type memory struct{}

func (memory) Publish(*Message) error                                  { return nil }
func (memory) Request(context.Context, *Message, func(Response)) error { return nil }
func (memory) Join(context.Context, string) error                      { return nil }
func (memory) Leave(string)                                            {}
func (memory) Close() error                                            { return nil }
