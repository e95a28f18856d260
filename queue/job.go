package queue

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/socketeer-io/socketeer/protocol/sio"
)

// maxAttachments bounds the binary values of one job.
const maxAttachments = 1024

// Job is a piece of work.
type Job struct {
	// ID is the stream entry's, such as "1795420844380-0". It orders the jobs
	// of a queue by the time of their publishing.
	ID    string
	Queue string // name
	Event string // name
	Tries int    // how often it has been handed out, this time included

	// Where the event of a client came from; empty otherwise.
	Namespace string
	SID       string // the socket's id
	User      string

	args        []byte // a JSON array
	attachments [][]byte
}

// Args returns the arguments as they came, a JSON array; binary values are
// placeholders in it. It must not be changed.
func (j *Job) Args() json.RawMessage { return j.args }

// Attachments returns the binary values that placeholders in Args stand for.
func (j *Job) Attachments() [][]byte { return j.attachments }

// Decode decodes the first arguments into the values pointed to, by the rules
// of encoding/json; binary goes into []byte and any. A nil pointer skips an
// argument.
func (j *Job) Decode(to ...any) error {
	return sio.DecodeArgs(j.args, 0, j.attachments, to, j.Event)
}

// Published returns when the job was published, by Redis's clock.
func (j *Job) Published() time.Time { return idTime(j.ID) }

// The fields of an entry.
const (
	fieldEvent       = "event"
	fieldArgs        = "args"
	fieldAttachments = "attachments"
	fieldNamespace   = "nsp"
	fieldSID         = "sid"
	fieldUser        = "user"
)

// fields returns what is stored of a job: names and values in turn.
func (j *Job) fields(limit int) ([]string, error) {
	if err := checkName("event", j.Event); err != nil {
		return nil, err
	}
	size := len(j.args) + len(j.Namespace) + len(j.SID) + len(j.User)
	for _, a := range j.attachments {
		size += len(a)
	}
	if size > limit {
		return nil, fmt.Errorf("%w: %d bytes", ErrTooLarge, size)
	}
	if len(j.attachments) > maxAttachments {
		return nil, fmt.Errorf("%w: %d binary values", ErrTooLarge, len(j.attachments))
	}
	f := []string{fieldEvent, j.Event, fieldArgs, string(j.args)}
	if len(j.attachments) > 0 {
		b, err := json.Marshal(j.attachments) // as base64
		if err != nil {
			return nil, fmt.Errorf("socketeer: encode attachments: %w", err)
		}
		f = append(f, fieldAttachments, string(b))
	}
	for _, o := range [...]struct{ name, value string }{
		{fieldNamespace, j.Namespace}, {fieldSID, j.SID}, {fieldUser, j.User},
	} {
		if o.value != "" {
			f = append(f, o.name, o.value)
		}
	}
	return f, nil
}

// decode returns the job of an entry. Its parts are checked, so that a handler
// can trust their form. The error never holds values.
func decode(id string, fields map[string]string) (*Job, error) {
	j := &Job{
		ID: id, Event: fields[fieldEvent],
		Namespace: fields[fieldNamespace], SID: fields[fieldSID], User: fields[fieldUser],
		args: []byte("[]"),
	}
	if j.Event == "" {
		return j, errors.New("socketeer: job without an event")
	}
	if raw, ok := fields[fieldArgs]; ok {
		j.args = []byte(raw)
		if _, err := sio.Args(j.args); err != nil || !json.Valid(j.args) {
			return j, errors.New("socketeer: arguments of a job are not a JSON array")
		}
	}
	if raw, ok := fields[fieldAttachments]; ok {
		if err := json.Unmarshal([]byte(raw), &j.attachments); err != nil {
			return j, errors.New("socketeer: attachments of a job are not a JSON array of base64")
		}
		if len(j.attachments) > maxAttachments {
			return j, errors.New("socketeer: too many attachments in a job")
		}
	}
	return j, nil
}

// permanent is an error that another try would not change.
type permanent struct{ error }

// Unwrap returns the error inside.
func (p permanent) Unwrap() error { return p.error }

// Permanent returns err as an error of a handler that makes its job a dead
// letter at once, without further tries. Permanent(nil) is nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return permanent{err}
}
