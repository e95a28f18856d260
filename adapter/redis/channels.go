package redis

import "strings"

// channels makes the names of one cluster's channels. All but those of Go nodes
// are those of Node.js:
//
//	<prefix>#<nsp>#                  messages to a namespace; sharded: also requests
//	<prefix>#<nsp>#<room>#           messages to a room
//	<prefix>-request#<nsp>#          requests, classic
//	<prefix>-response#<nsp>#         responses to Node.js nodes, classic
//	<prefix>-response#<nsp>#<uid>#   responses to one node, classic
//	<prefix>#<nsp>#<uid>#            responses to one node, sharded
//	<prefix>-socketeer-members       announcements of Go nodes
//	<prefix>-socketeer-node#<uid>    announcements to one Go node
type channels struct{ prefix string }

func (c channels) namespace(nsp string) string     { return c.prefix + "#" + nsp + "#" }
func (c channels) room(nsp, room string) string    { return c.prefix + "#" + nsp + "#" + room + "#" }
func (c channels) request(nsp string) string       { return c.prefix + "-request#" + nsp + "#" }
func (c channels) response(nsp string) string      { return c.prefix + "-response#" + nsp + "#" }
func (c channels) classicOwn(nsp, u string) string { return c.response(nsp) + u + "#" }
func (c channels) members() string                 { return c.prefix + "-socketeer-members" }
func (c channels) node(uid string) string          { return c.prefix + "-socketeer-node#" + uid }

// inside returns what stands between a prefix and the closing "#", if that is
// a uid and no more.
func inside(channel, prefix string) (uid string, ok bool) {
	rest, ok := strings.CutPrefix(channel, prefix)
	if !ok {
		return "", false
	}
	uid, ok = strings.CutSuffix(rest, "#")
	return uid, ok && uid != "" && !strings.Contains(uid, "#")
}

// escapeGlob makes a pattern of Redis that only s itself matches.
func escapeGlob(s string) string {
	return strings.NewReplacer(`*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`, `\`, `\\`, `^`, `\^`, `-`, `\-`).Replace(s)
}

// idLen is the length of a socket's id, of Go and Node.js nodes alike.
const idLen = 20

// idPattern matches the channels of the sockets of a node, whose ids begin with
// its tag.
func (c channels) idPattern(nsp, tag string) string {
	return escapeGlob(c.namespace(nsp)+tag) + strings.Repeat("?", idLen-len(tag)) + "#"
}

// ownID reports whether a room is the id of a socket of the node with tag, or
// could be: the pattern covers it.
func ownID(room, tag string) bool { return len(room) == idLen && strings.HasPrefix(room, tag) }
