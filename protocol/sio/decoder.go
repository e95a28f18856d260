package sio

import (
	"bytes"
	"unicode/utf8"
)

// Limits of the decoder that cannot be configured.
const (
	// MaxNamespace is the longest namespace, in bytes.
	MaxNamespace = 1024
	// MaxID is the largest ack id: the largest integer that is exact in
	// JavaScript.
	MaxID = 1<<53 - 1
)

// DefaultMaxAttachments is the limit of a [Decoder] that sets none.
const DefaultMaxAttachments = 10

// Decoder assembles packets from the messages of one connection. The zero
// value is ready. It must not be used by several goroutines at once.
//
// A decoder is small, keeps nothing of a packet without attachments, and
// starts no goroutine. After an error it is as new, but the protocol demands
// that the connection be closed.
type Decoder struct {
	// MaxAttachments is the most attachments a packet may have. Zero means
	// [DefaultMaxAttachments]; a negative number allows none.
	MaxAttachments int

	pending   *pending // the packet being assembled, or nil
	namespace string   // the last one seen, so that repeats need no memory
}

type pending struct {
	packet Packet
	want   int // attachments in all
	bytes  int // kept so far
}

// Text decodes the text b of a packet, without Engine.IO's leading '4'.
//
// If the packet is complete, ok is true and p.Data aliases b. If it has
// attachments, ok is false, they must follow by [Decoder.Binary], and the
// decoder keeps a copy of what it needs of b. The error, if any, is
// a [*SyntaxError]; a text while attachments are missing is one.
func (d *Decoder) Text(b []byte) (p Packet, ok bool, err error) {
	if d.pending != nil {
		d.pending = nil
		return Packet{}, false, syntaxError("text while attachments are missing")
	}
	want, reason := d.parse(b, &p)
	if reason == "" && want > 0 {
		reason = d.begin(&p, want)
	}
	if reason != "" {
		return Packet{}, false, syntaxError(reason)
	}
	return p, want == 0, nil
}

// begin keeps p, which lacks want attachments, and leaves it empty.
func (d *Decoder) begin(p *Packet, want int) (reason string) {
	if _, reason := scanPlaceholders(p.Data, want, nil); reason != "" {
		return reason
	}
	p.Data = bytes.Clone(p.Data)
	d.pending = &pending{packet: *p, want: want, bytes: len(p.Data)}
	*p = Packet{}
	return ""
}

// Binary adds the attachment b, which it keeps, to the packet begun by
// [Decoder.Text]. With the last one, ok is true and p is complete. The error,
// if any, is a [*SyntaxError]: no attachment is missing.
func (d *Decoder) Binary(b []byte) (p Packet, ok bool, err error) {
	q := d.pending
	if q == nil {
		return Packet{}, false, syntaxError("binary data without a packet")
	}
	q.packet.Attachments = append(q.packet.Attachments, b)
	q.bytes += len(b)
	if len(q.packet.Attachments) < q.want {
		return Packet{}, false, nil
	}
	d.pending = nil
	return q.packet, true, nil
}

// Pending reports whether a packet lacks attachments. The decoder waits for
// them without end: a deadline is its owner's to keep.
func (d *Decoder) Pending() bool { return d.pending != nil }

// PendingBytes returns how many bytes of data and attachments the decoder
// keeps of an incomplete packet. Their sum is its owner's to bound.
func (d *Decoder) PendingBytes() int {
	if d.pending == nil {
		return 0
	}
	return d.pending.bytes
}

// parse decodes one text into p. want is the number of attachments to follow.
//
//	<type>[<attachments>-][<namespace>,][<ack id>][<JSON>]
func (d *Decoder) parse(b []byte, p *Packet) (want int, reason string) {
	if len(b) == 0 {
		return 0, "empty packet"
	}
	p.Type = Type(b[0] - '0')
	b = b[1:]
	switch p.Type {
	case Connect, Disconnect, Event, Ack, ConnectError:
	case BinaryEvent, BinaryAck:
		p.Type -= BinaryEvent - Event
		if want, b, reason = d.parseCount(b); reason != "" {
			return 0, reason
		}
	default:
		return 0, "unknown packet type"
	}
	if p.Namespace, b, reason = d.parseNamespace(b); reason != "" {
		return 0, reason
	}
	if len(b) > 0 && isDigit(b[0]) {
		var n int
		if p.ID, n = parseInt(b, MaxID); n == 0 {
			return 0, "ack id out of range"
		}
		p.HasID = true
		b = b[n:]
	}
	if reason = p.setData(b); reason != "" {
		return 0, reason
	}
	return want, ""
}

// parseCount parses the number of attachments and the dash behind it.
func (d *Decoder) parseCount(b []byte) (want int, rest []byte, reason string) {
	limit := d.MaxAttachments
	if limit == 0 {
		limit = DefaultMaxAttachments
	}
	if len(b) == 0 || !isDigit(b[0]) {
		return 0, nil, "no number of attachments"
	}
	count, n := parseInt(b, uint64(max(limit, 0)))
	if n == 0 {
		return 0, nil, "too many attachments"
	}
	if count == 0 {
		return 0, nil, "zero attachments"
	}
	if n == len(b) || b[n] != '-' {
		return 0, nil, "no dash after the number of attachments"
	}
	return int(count), b[n+1:], ""
}

// maxDigits is the length of MaxID. Longer numbers are refused before they
// are read to their end.
const maxDigits = 16

// parseInt parses the digits that b starts with and returns how many there
// are, or 0 if their number is above limit, or if they are too many.
func parseInt(b []byte, limit uint64) (v uint64, n int) {
	for n < len(b) && isDigit(b[n]) {
		v = v*10 + uint64(b[n]-'0')
		n++
		if n > maxDigits || v > limit {
			return 0, 0
		}
	}
	return v, n
}

// parseNamespace parses the namespace, if there is one, and the comma behind
// it, which may lack at the end of the text.
func (d *Decoder) parseNamespace(b []byte) (namespace string, rest []byte, reason string) {
	if len(b) == 0 || b[0] != '/' {
		return "/", b, ""
	}
	head := b[:min(len(b), MaxNamespace+1)]
	end := bytes.IndexByte(head, ',')
	switch {
	case end >= 0:
		rest = b[end+1:]
	case len(b) <= MaxNamespace:
		end = len(b)
	default:
		return "", nil, "namespace too long"
	}
	name := b[:end]
	if len(name) == 1 {
		return "/", rest, ""
	}
	if string(name) == d.namespace {
		return d.namespace, rest, ""
	}
	for _, c := range name {
		if c < ' ' || c == 0x7f {
			return "", nil, "control character in the namespace"
		}
	}
	if !utf8.Valid(name) {
		return "", nil, badUTF8
	}
	d.namespace = string(name)
	return d.namespace, rest, ""
}

// setData checks the data of p and sets it, without the space behind it. The
// space before it is not tolerated: no encoder writes it, and JavaScript's
// decoder takes it for a part of the ack id.
func (p *Packet) setData(b []byte) (reason string) {
	if p.HasID && p.Type != Event && p.Type != Ack {
		return "unexpected ack id"
	}
	var first byte
	if len(b) > 0 {
		first = b[0]
	}
	switch p.Type {
	case Connect:
		if first != '{' && len(b) > 0 {
			return "connect data is not an object"
		}
	case Disconnect:
		if len(b) > 0 {
			return "disconnect with data"
		}
	case Event:
		if first != '[' {
			return "event data is not an array"
		}
	case Ack:
		if first != '[' {
			return "ack data is not an array"
		}
		if !p.HasID {
			return "ack without an id"
		}
	case ConnectError:
		if first != '{' && first != '"' {
			return "connect error data is neither object nor string"
		}
	}
	if len(b) == 0 {
		return ""
	}
	end, reason := scanValue(b, 0)
	if reason != "" {
		return reason
	}
	if skipSpace(b, end) < len(b) {
		return "bytes after the data"
	}
	p.Data = b[:end:end]
	if p.Type == Event {
		return checkName(p.Data)
	}
	return ""
}

// checkName checks the name of the event with the valid data given.
func checkName(data []byte) (reason string) {
	raw, ok := firstName(data)
	if !ok {
		return "event name is neither string nor number"
	}
	if raw[0] != '"' {
		return ""
	}
	if bytes.IndexByte(raw, '\\') < 0 && !Reserved(string(raw[1:len(raw)-1])) {
		return ""
	}
	if Reserved(unquote(raw)) {
		return "reserved event name"
	}
	return ""
}
