package cluster

import (
	"crypto/sha256"
	"encoding/base64"
)

// maxToken is the longest name that is used in a subject as it is, in bytes.
const maxToken = 64

// subjects makes the subjects of one cluster:
//
//	<prefix>.m                    announcements, to all nodes
//	<prefix>.n.<incarnation>      to one node
//	<prefix>.a.<namespace>        to all nodes that have the namespace open
//	<prefix>.r.<namespace>.<room> to the nodes with members in the room
type subjects struct{ prefix string }

func newSubjects(cluster string) subjects { return subjects{prefix: appendToken("", cluster)} }

func (s subjects) members() string                { return s.prefix + ".m" }
func (s subjects) node(incarnation string) string { return s.prefix + ".n." + incarnation }
func (s subjects) namespace(nsp string) string    { return appendToken(s.prefix+".a.", nsp) }
func (s subjects) rooms(nsp string) string        { return appendToken(s.prefix+".r.", nsp) + "." }

// appendToken appends a name as one token, readable where possible:
//
//   - a name of [A-Za-z0-9_:/@=+-] of up to maxToken bytes stays as it is
//   - another of up to maxToken bytes becomes "~" and its base64url
//   - a longer one becomes "~~" and the base64url of its SHA-256
//
// No two names share a token, short of a collision of SHA-256, and even then
// receivers go by the target inside the message.
func appendToken(prefix, name string) string {
	if len(name) > maxToken {
		sum := sha256.Sum256([]byte(name))
		return prefix + "~~" + base64.RawURLEncoding.EncodeToString(sum[:])
	}
	if name == "" {
		return prefix + "~"
	}
	for i := range len(name) {
		if !tokenChar[name[i]] {
			return prefix + "~" + base64.RawURLEncoding.EncodeToString([]byte(name))
		}
	}
	return prefix + name
}

// tokenChar and idChar are constant tables.
var tokenChar, idChar = charTable("-_:/@=+"), charTable("-_")

func charTable(extra string) (t [256]bool) {
	for _, r := range [][2]byte{{'0', '9'}, {'A', 'Z'}, {'a', 'z'}} {
		for c := r[0]; c <= r[1]; c++ {
			t[c] = true
		}
	}
	for i := range len(extra) {
		t[extra[i]] = true
	}
	return t
}

// idLen is the length of a socket's id, whose first characters are a tag.
const idLen = 20

// looksLikeID reports whether a room can be the id of a socket.
func looksLikeID(room string) bool {
	if len(room) != idLen {
		return false
	}
	for i := range idLen {
		if !idChar[room[i]] {
			return false
		}
	}
	return true
}
