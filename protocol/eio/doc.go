// Package eio is the codec of the Engine.IO protocol, revision 4.
//
// Everything here is a pure function: nothing reads, writes, waits or keeps
// state, and every function may be called from many goroutines at once.
//
// A packet travels in one of three forms. As a WebSocket message, text is a
// type digit followed by the data ([AppendText], [DecodeText]) and binary is
// the raw bytes without any prefix. In the body of a polling request packets
// are joined by [Separator] ([AppendPayload], [Packets]), and binary is the
// letter b followed by base64.
//
// See https://socket.io/docs/v4/engine-io-protocol/ for the protocol.
package eio
