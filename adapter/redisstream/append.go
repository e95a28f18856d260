package redisstream

import (
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"
)

// appendScript appends entries of one node to a stream, each once, however
// often it is sent: a write whose answer got lost is repeated, and what Redis
// had done the first time, or does later when an old connection comes to life,
// is not done again. KEYS are the stream and where the number of the node's
// newest entry is kept, with its id. ARGV are how long that is kept, in
// milliseconds, and the stream's bound ("" for none); then for each entry how
// many fields and values it has, its number, and these. It returns the id of
// the node's newest entry.
var appendScript = rueidis.NewLuaScript(`
local seq, id = string.match(redis.call('GET', KEYS[2]) or '0 ', '^(%d+) (.*)$')
seq = tonumber(seq)
local i = 3
while i <= #ARGV do
  local n, s = tonumber(ARGV[i]), tonumber(ARGV[i + 1])
  if s > seq then
    if ARGV[2] == '' then
      id = redis.call('XADD', KEYS[1], '*', unpack(ARGV, i + 2, i + 1 + n))
    else
      id = redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[2], '*', unpack(ARGV, i + 2, i + 1 + n))
    end
    seq = s
  end
  i = i + 2 + n
end
redis.call('SET', KEYS[2], string.format('%.0f ', seq) .. id, 'PX', ARGV[1])
return id
`)

// numberKept is how long Redis remembers a node's number, at least: as long as
// a write can be repeated.
const numberKept = time.Minute

// appendArgs returns the arguments of appendScript.
func appendArgs(o *Options, batch []write) []string {
	args := make([]string, 0, 2+16*len(batch))
	bound := ""
	if o.MaxLen > 0 {
		bound = strconv.Itoa(o.MaxLen)
	}
	args = append(args, strconv.FormatInt(max(numberKept, 2*o.PublishTimeout).Milliseconds(), 10), bound)
	for _, it := range batch {
		args = append(args, strconv.Itoa(len(it.fields)+2), strconv.FormatUint(it.seq, 10))
		args = append(args, it.fields...)
		args = append(args, fieldSeq, strconv.FormatUint(it.seq, 36))
	}
	return args
}

// fieldSeq is a field of the entries of Go nodes: the number that its sender
// gave the entry. Node.js ignores it.
const fieldSeq = "seq"

// number reads the number of an entry; without one, of Node.js, it is 0.
func number(seq string) uint64 {
	n, err := strconv.ParseUint(seq, 36, 64)
	if err != nil {
		return 0
	}
	return n
}

// numberKey is where the number of a node's newest entry is kept: in a Redis
// Cluster, where the stream is.
func numberKey(stream, uid string) string {
	if tagged(stream) {
		return stream + "-seq-" + uid
	}
	return "{" + stream + "}-seq-" + uid
}

// tagged reports whether a key has a hash tag: a part in braces that alone says
// where a Redis Cluster keeps it.
func tagged(key string) bool {
	_, rest, ok := strings.Cut(key, "{")
	return ok && strings.Index(rest, "}") > 0
}
