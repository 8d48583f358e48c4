package oftest

import "sync"

// maxReplies is how many answers a session may leave unread before its requests are not
// read any more.
const maxReplies = 100

// A frame is a message on its way out.
type frame struct {
	b       []byte
	reply   bool // it counts against maxReplies
	monitor bool // it tells of changed flows
	last    bool // it is none: hang up
}

// A queue is what a session has to say. It has no bound of its own, so that the switch never
// waits for a peer while it holds its lock.
type queue struct {
	mu       sync.Mutex
	changed  sync.Cond
	frames   []frame
	replies  int // of frames
	monitors int // bytes of frames that tell of changed flows
	stalled  bool
	closed   bool
	answers  deed // what becomes of further replies: zero: they are sent; mute, cutAfter: they are not; cutInside: half of one is
}

func newQueue() *queue {
	q := &queue{}
	q.changed.L = &q.mu
	return q
}

func (q *queue) put(f frame) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(f.b) == 0 {
		return
	}
	switch {
	case !f.reply || q.answers == nothingElse:
	case q.answers == cutInside:
		f.b, q.answers = f.b[:len(f.b)/2], cutAfter
	default:
		return
	}
	q.frames = append(q.frames, f)
	q.count(f, 1)
	q.changed.Broadcast()
}

// answer has replies that are put from now on sent as d says.
func (q *queue) answer(d deed) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.answers = d
}

// finish has the writer hang up once all that is in the queue is out, and waits for that.
func (q *queue) finish() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.frames = append(q.frames, frame{last: true})
	q.changed.Broadcast()
	for !q.closed {
		q.changed.Wait()
	}
}

func (q *queue) count(f frame, by int) {
	if f.reply {
		q.replies += by
	}
	if f.monitor {
		q.monitors += by * len(f.b)
	}
}

// next waits for the next frame. It stays in the queue until written says that it is out.
func (q *queue) next() (f frame, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for !q.closed && (q.stalled || len(q.frames) == 0) {
		q.changed.Wait()
	}
	if q.closed {
		return f, false
	}
	return q.frames[0], true
}

// written takes the first frame off, and returns whether the last one that told of changed
// flows was it.
func (q *queue) written() (caughtUp bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	f := q.frames[0]
	q.frames = q.frames[1:]
	q.count(f, -1)
	q.changed.Broadcast()
	return f.monitor && q.monitors == 0
}

// mayRead waits until the session may read and handle another message.
func (q *queue) mayRead() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for !q.closed && (q.stalled || q.replies >= maxReplies) {
		q.changed.Wait()
	}
	return !q.closed
}

// unseen returns how many bytes that tell of changed flows are still here.
func (q *queue) unseen() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.monitors
}

func (q *queue) stall(on bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.stalled = on
	q.changed.Broadcast()
}

func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.changed.Broadcast()
}
