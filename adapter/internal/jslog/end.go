package jslog

import (
	"context"
	"time"
)

// endPatience is how long the question where the stream ends may take. Without
// an answer clients recover from what their node has read.
const endPatience = time.Second

// newest asks JetStream. The answer is for others, too: only the log's end ends
// it early.
func (l *Log) newest(ctx context.Context) (uint64, error) {
	ask, cancel := context.WithTimeout(context.WithoutCancel(ctx), endPatience)
	defer cancel()
	defer context.AfterFunc(l.ctx, cancel)()
	l.count.ends.Add(1)
	info, err := l.info(ask)
	if err != nil {
		return 0, err
	}
	return info.State.LastSeq, nil
}
