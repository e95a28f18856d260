package nodepeers

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
	"time"
)

// goMark begins the uids of Go nodes. Node.js has 16 hexadecimal digits or 6
// characters.
const goMark = "go"

// uidLen is the length of a Go node's uid.
const uidLen = len(goMark) + 16

// UID is what other nodes call the adapters of the Go node of the given
// incarnation.
func UID(incarnation string) string {
	sum := sha256.Sum256([]byte(incarnation))
	return goMark + hex.EncodeToString(sum[:8])
}

// IsGo reports whether a uid is that of a Go node.
func IsGo(uid string) bool { return len(uid) == uidLen && strings.HasPrefix(uid, goMark) }

// barrierMark ends the id of a request that only Node.js peers answer.
const barrierMark = "b"

// requestID makes the id of a request by uid that has left to be answered.
func requestID(uid string, seq uint64, left time.Duration) string {
	return uid + "." + strconv.FormatUint(seq, 36) + "." + strconv.FormatInt(max(1, left.Milliseconds()), 10)
}

// parseID takes the id of a Go node's request apart.
func parseID(id string) (left time.Duration, barrier, ok bool) {
	parts := strings.Split(id, ".")
	if len(parts) < 3 || len(parts) > 4 || !IsGo(parts[0]) {
		return 0, false, false
	}
	ms, err := strconv.ParseInt(parts[2], 10, 64)
	if err != nil || ms < 1 {
		return 0, false, false
	}
	left = time.Duration(min(ms, int64(maxAnswerTime/time.Millisecond))) * time.Millisecond
	return left, len(parts) == 4 && parts[3] == barrierMark, true
}

// nodeName is what a Node.js peer is called, which has no name.
func nodeName(uid string) string { return "node.js peer " + uid }
