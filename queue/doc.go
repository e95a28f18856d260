// Package queue is a work queue on Redis, for what exactly one worker is to
// handle: orders to be placed, mails to be sent, files to be converted.
//
//	q, err := queue.New(ctx, queue.Options{URL: "redis://127.0.0.1:6379"})
//	...
//	id, err := q.Publish(ctx, "mails", "welcome", user)
//
// and in a worker, which need not be a server:
//
//	err := q.Consume(ctx, "mails", "mailers", func(ctx context.Context, j *queue.Job) error {
//		var u User
//		if err := j.Decode(&u); err != nil {
//			return queue.Permanent(err)
//		}
//		return send(ctx, u)
//	}, queue.ConsumeOptions{Concurrency: 8})
//
// Events that clients send get into a queue by package forward.
//
// # Delivery
//
// At least once. Publish returns when Redis has stored the job; how safe it is
// there is a matter of Redis's persistence and replication. A job is removed
// when its handler has returned nil, and handled again when it returned an
// error, when its worker died, or when the answer to either got lost. A handler
// therefore may run twice for one job, and must not mind. [Job.ID] is the same
// each time. An error of Publish that comes from the network leaves open
// whether the job was stored: to publish again may store it twice.
//
// One group of workers handles each job once among them. Several groups each
// get all jobs.
//
// A worker that handles a job keeps a lease on it, which it renews however long
// the handler takes. A lease that has not been renewed for
// [ConsumeOptions].MinIdle is taken over by another worker; the context of a
// handler whose lease is found to be lost ends with [ErrLost]. A job that
// failed MaxTries times goes to the dead letters, as one does that cannot be
// decoded, or that fails with [Permanent]. The order of jobs is that of
// publishing when they are handed out; with more than one handler at work, or
// after a failure, they overtake each other.
//
// Nothing is dropped: a queue that is full refuses ([ErrFull]).
//
// # Format
//
// The queue named N is the stream PREFIX:queue:{N}, its dead letters are
// PREFIX:queue:{N}:dead; the braces let Redis Cluster keep both in one slot. An
// entry has these fields, all strings:
//
//	event        the name
//	args         a JSON array; binary values are {"_placeholder":true,"num":0}
//	attachments  a JSON array of what the placeholders stand for, as base64; absent when there are none
//	nsp sid user where a client's event came from; absent otherwise
//
// A dead letter has the fields of its job, and id, group, tries and error.
// Fields of other names are ignored. Workers and publishers in other languages
// follow docs/queues.md.
package queue
