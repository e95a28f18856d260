package loadgen

import "time"

// The pure parts, for the tests.

type Stamp = stamp

func NewStamp(at int64, room, slot, seq uint32) Stamp {
	return stamp{at: at, room: room, slot: slot, seq: seq}
}

func (s stamp) Put(b []byte)              { s.put(b) }
func (s stamp) Parts() (int64, [3]uint32) { return s.at, [3]uint32{s.room, s.slot, s.seq} }

var (
	ReadStamp       = readStamp
	AppendFrame     = appendFrame
	UpgradeResponse = upgradeResponse
	AcceptValue     = acceptValue
	StringField     = stringField
	LastString      = lastString
	Backoff         = backoff
)

func NextFrame(b []byte, limit int) (op byte, payload []byte, n int, err error) {
	f, n, err := nextFrame(b, limit)
	return f.op, f.payload, n, err
}

func NextResponse(b []byte, limit int) (status int, body []byte, last bool, n int, err error) {
	r, n, err := nextResponse(b, limit)
	return r.status, r.body, r.last, n, err
}

// NewTemplate returns a frame and where its stamp is.
func NewTemplate(before, after string, size int) (wire, stamp []byte) {
	t := newTemplate(before, after, size)
	return t.wire, t.stamp
}

// NewSay returns a message to a room, sent on to another.
func NewSay(room, other string, size int) (wire, stamp []byte) {
	t := newSay(room, size)
	t.readdress(other, size)
	return t.wire, t.stamp
}

type Pacer = pacer

func NewPacer(start, count, end time.Duration, perSecond float64, loop, loops, part, whole int) *Pacer {
	p := newPacer(window{int64(start), int64(count), int64(end)}, perSecond, loop, loops, part, whole)
	return &p
}

func (p *pacer) Due(now time.Duration) (time.Duration, bool) {
	at, ok := p.due(int64(now))
	return time.Duration(at), ok
}

func (p *pacer) Next() time.Duration   { return time.Duration(p.next()) }
func (p *pacer) Miss(at time.Duration) { p.miss(int64(at)) }
func (p *pacer) Finish()               { p.finish() }
func (p *pacer) Missed() uint64        { return p.missed }

// Got returns what is reported of clients that got so many messages each.
func Got(messages int, expected uint64, numbers ...int) Delivery {
	d := Delivery{Messages: messages, Expected: expected}
	d.got(numbers)
	return d
}

var WhileReplaced = whileReplaced

type Agenda = agenda

func (a *agenda) Add(at int64) { a.add(appointment{at: at}) }

func (a *agenda) Due(now int64) (at int64, ok bool) {
	p, ok := a.due(now)
	return p.at, ok
}

type Order = order

func NewOrder(receivers, senders int) *Order {
	o := newOrder(receivers, senders)
	return &o
}

func (o *order) See(receiver int, slot, seq uint32) bool { return o.see(receiver, slot, seq) }
func (o *order) Misordered() uint64                      { return o.misordered }
func (o *order) Duplicated() uint64                      { return o.duplicated }

type Place struct {
	Loop, Target, Room, Slot int
	Polling                  bool
}

// Places returns where a configuration puts each connection, and how many
// sends a second make a rate of one.
func Places(c Config) (places []Place, sends float64) {
	p := newPlan(c.withDefaults())
	for i := range c.Conns {
		at := p.place(i)
		places = append(places, Place{at.loop, at.target, at.room, at.slot, at.polling})
	}
	return places, p.sends(1)
}
