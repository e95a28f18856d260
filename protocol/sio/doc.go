// Package sio is the codec of the Socket.IO protocol, revision 5, with its
// default (JSON) packet format.
//
// A packet is one text, optionally followed by as many binary messages as it
// has attachments. [Packet.AppendText] and [Decoder] convert whole packets;
// [Encode], [Args] and [DecodeArg] convert between a packet's data and Go
// values. Nothing here does input or output.
//
// # What the decoder accepts
//
// The decoder holds peers to the protocol and bounds everything they can
// make it do: the number of attachments, the length of namespaces and ids,
// and the nesting of JSON ([MaxDepth]). JSON must be what RFC 8259 describes.
// A lone surrogate written as an escape is fine, as it is for JavaScript.
// Bytes that are not UTF-8 are refused, also inside strings, because data is
// relayed to other peers as it came, and a WebSocket peer that receives
// a text message with such bytes must drop its connection.
//
// See https://socket.io/docs/v4/socket-io-protocol/ for the protocol.
package sio
