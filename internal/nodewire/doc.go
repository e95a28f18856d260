// Package nodewire encodes and decodes what the Redis adapters of Socket.IO for
// Node.js send to each other: pure functions between their formats and one
// neutral [Message].
//
//   - The classic adapter (@socket.io/redis-adapter, and the emitter for it):
//     [AppendClassicBroadcast], [AppendClassicRequest], [AppendClassicResponse].
//   - The sharded adapter: [AppendEnvelope]. JSON, or msgpack where there is
//     binary.
//   - The streams adapter: [StreamFields] for what is kept in the stream,
//     [AppendMsgpackEnvelope] for what is only published, [EncodeSession].
//
// # Values
//
// What applications send is raw JSON with Socket.IO placeholders in a Message,
// {"_placeholder":true,"num":0} for Attachments[0], and msgpack with bin in
// place on the wire. The two are translated into each other directly. Where the
// wire is JSON, values are passed on as they are.
//
// To msgpack: numbers that JavaScript holds as integers become the shortest
// integer, others float64. An object that looks like a placeholder but names no
// attachment stays an object.
//
// From msgpack, in the dialects of notepack 2 and 3 and @msgpack/msgpack: dates
// become the strings that JSON.stringify makes of them; undefined becomes null
// in an array and is left out of a map; NaN and infinities become null; keys
// that are no strings become strings; text that is not UTF-8 is repaired with
// U+FFFD; an extension of a type that nobody uses becomes [type, binary], as
// notepack has it. Where there is no place for attachments (handshakes, the
// data of sockets and sessions) binary becomes {"type":"Buffer","data":[...]},
// which is what Node.js makes of it in JSON.
//
// # Bounds
//
// Nesting deeper than [MaxDepth] is refused. Claimed lengths are held against
// the bytes that are there before anything is allocated, so that what a decoder
// allocates is at most a small multiple of its input.
//
// # Extensions
//
// Go nodes add members that Node.js ignores because it does not know them:
// uid in responses of the classic adapter; requestId in join, leave and
// disconnect; sid (whose acknowledgement) and more (arguments after the first)
// in acknowledgements; node and live in sessions. The types from [Gap] on are
// ignored by it too.
package nodewire
