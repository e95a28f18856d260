package redisstream

import (
	"context"
	"fmt"
)

// newest asks Redis. The answer is for others, too: only the stream's end ends
// it early.
func (s *stream) newest(ctx context.Context) (last offset, err error) {
	ask, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)()
	s.count.ends.Add(1)
	list, err := s.redis.Do(ask, s.redis.B().Xrevrange().Key(s.name).End("+").Start("-").Count(1).Build()).AsXRange()
	if err != nil || len(list) == 0 {
		return offset{}, err
	}
	last, ok := parseOffset(list[0].ID)
	if !ok {
		return offset{}, fmt.Errorf("socketeer: redis gave an entry the id %.50q", list[0].ID)
	}
	return last, nil
}
