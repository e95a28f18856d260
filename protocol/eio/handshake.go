package eio

import (
	"encoding/json"
	"math"
	"strconv"
	"time"
)

// Handshake is the data of an open packet: what the server tells a client
// about its new session.
type Handshake struct {
	// SID is the secret id of the session.
	SID string
	// Upgrades names the transports the client may upgrade to.
	Upgrades []string
	// PingInterval is the time between two pings of the server. On the wire
	// it is in milliseconds; a fraction is cut off.
	PingInterval time.Duration
	// PingTimeout is how long the server waits for a pong, and beyond
	// PingInterval the client for a ping. In milliseconds on the wire.
	PingTimeout time.Duration
	// MaxPayload is the most bytes the server takes in one polling request
	// or WebSocket message. Zero means that the server did not say.
	MaxPayload int64
}

// AppendJSON appends the data of the open packet to dst, with its members in
// the order in which the reference implementation writes them.
func (h Handshake) AppendJSON(dst []byte) []byte {
	dst = append(dst, `{"sid":`...)
	dst = appendString(dst, h.SID)
	dst = append(dst, `,"upgrades":[`...)
	for i, u := range h.Upgrades {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendString(dst, u)
	}
	dst = append(dst, `],"pingInterval":`...)
	dst = strconv.AppendInt(dst, h.PingInterval.Milliseconds(), 10)
	dst = append(dst, `,"pingTimeout":`...)
	dst = strconv.AppendInt(dst, h.PingTimeout.Milliseconds(), 10)
	dst = append(dst, `,"maxPayload":`...)
	dst = strconv.AppendInt(dst, h.MaxPayload, 10)
	return append(dst, '}')
}

// appendString appends s as a JSON string. Ids and transport names are plain
// ASCII, which needs no escapes.
func appendString(dst []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			quoted, err := json.Marshal(s)
			if err != nil {
				panic(err) // a string always marshals
			}
			return append(dst, quoted...)
		}
	}
	dst = append(dst, '"')
	dst = append(dst, s...)
	return append(dst, '"')
}

// maxMillis is the longest duration a handshake may announce: the largest
// delay of a JavaScript timer, just below 25 days.
const maxMillis = math.MaxInt32

// ParseHandshake decodes the data of an open packet. It requires an id and
// durations of 1 ms to 25 days, and ignores members it does not know. The
// error, if any, is a [*SyntaxError].
func ParseHandshake(b []byte) (Handshake, error) {
	var wire struct {
		SID          string   `json:"sid"`
		Upgrades     []string `json:"upgrades"`
		PingInterval float64  `json:"pingInterval"`
		PingTimeout  float64  `json:"pingTimeout"`
		MaxPayload   float64  `json:"maxPayload"`
	}
	if err := json.Unmarshal(b, &wire); err != nil {
		return Handshake{}, syntaxError("invalid handshake")
	}
	switch {
	case wire.SID == "":
		return Handshake{}, syntaxError("handshake without an id")
	case wire.PingInterval < 1 || wire.PingInterval > maxMillis:
		return Handshake{}, syntaxError("ping interval out of range")
	case wire.PingTimeout < 1 || wire.PingTimeout > maxMillis:
		return Handshake{}, syntaxError("ping timeout out of range")
	case wire.MaxPayload < 0 || wire.MaxPayload > 1<<53:
		return Handshake{}, syntaxError("maximum payload out of range")
	}
	return Handshake{
		SID:          wire.SID,
		Upgrades:     wire.Upgrades,
		PingInterval: time.Duration(wire.PingInterval) * time.Millisecond,
		PingTimeout:  time.Duration(wire.PingTimeout) * time.Millisecond,
		MaxPayload:   int64(wire.MaxPayload),
	}, nil
}
