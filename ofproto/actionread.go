package ofproto

import "slices"

// vendor says whose action a type or subtype is.
type vendor uint8

const (
	openflow vendor = iota
	niciraAction
	onfAction
	numVendors
)

// firstTypes has the lowest type of each vendor's actions.
var firstTypes = [numVendors]uint16{onfAction: 3200}

// A wireForm is how one action is read. The decoder that read gets stands behind the
// header, and ends where the action ends.
type wireForm struct {
	size  int  // of the whole action, or its least size if it may be longer
	more  bool // it may be longer, by multiples of 8
	debug bool // a switch takes it in its own tests only
	read  func(*decoder) Action

	// An action in which others stand has no read, but these two: begin reads what stands
	// before the others, to see whether it is right; whole reads that once more, and gets them.
	begin func(*decoder)
	whole func(*decoder, []Action) Action
}

// wireForms has the forms of all actions, by vendor and type (OpenFlow 1.3, A.2.5) or
// subtype (nicira-ext.h). Each action puts its own here, beside its code.
var wireForms [numVendors][256]wireForm

func formAt(v vendor, typ uint16) *wireForm { return &wireForms[v][typ-firstTypes[v]] }

// onWire says how the action of a vendor's type is read: size bytes, or more.
func onWire(v vendor, typ uint16, size int, more bool, read func(*decoder) Action) {
	*formAt(v, typ) = wireForm{size: size, more: more, read: read}
}

// debugOnWire says the same of an action that a switch takes in its own tests only.
func debugOnWire(v vendor, typ uint16, size int, read func(*decoder) Action) {
	*formAt(v, typ) = wireForm{size: size, debug: true, read: read}
}

// nestedOnWire says how an action is read in which others stand behind size bytes.
func nestedOnWire(v vendor, typ uint16, size int, begin func(*decoder), whole func(*decoder, []Action) Action) {
	*formAt(v, typ) = wireForm{size: size, more: true, begin: begin, whole: whole}
}

// formOf finds how the action at the beginning of b is read, and how long its header is.
func formOf(b []byte) (form *wireForm, header int, unknown ErrorCode) {
	if len(b) < 8 {
		return nil, 0, OFPBAC_BAD_LEN
	}
	v, typ := openflow, be.Uint16(b)
	header, unknown = 4, OFPBAC_BAD_TYPE
	if typ == 0xffff { // OFPAT_EXPERIMENTER
		switch be.Uint32(b[4:]) {
		case nicira:
			v = niciraAction
		case onf:
			v = onfAction
		default:
			return nil, 0, OFPBAC_BAD_VENDOR
		}
		if len(b) < 16 {
			return nil, 0, OFPBAC_BAD_LEN
		}
		typ, header, unknown = be.Uint16(b[8:]), 10, OFPBAC_BAD_VENDOR_TYPE
	}
	if n := int(typ) - int(firstTypes[v]); 0 <= n && n < len(wireForms[v]) {
		form = &wireForms[v][n]
	}
	if form == nil || form.size == 0 {
		return nil, 0, unknown
	}
	return form, header, 0
}

// A listReader reads lists of actions, and the lists inside of actions, without recursion: a
// message can have 4,095 of them in one another, which is more stack than a message is worth.
// What Open vSwitch 3.1 would refuse becomes Raw, together with the action in which it stands;
// or an error, if the decoder is strict.
type listReader struct {
	decoder           // stands behind what was read
	whole    []byte   // the list
	base     int      // where that is in the message
	found    []Action // of all lists that are open; the outer ones first
	open     []openList
	body     decoder // of one action
	room     [8]Action
	roomOpen [2]openList
}

// An openList is the list inside of an action, of which there is more to read.
type openList struct {
	start, end int32 // of the action
	first      int32 // of its actions in found
	header     int32 // how long it is
	form       *wireForm
}

// list reads n bytes of actions. Whether they may stand beside one another is for verify.
func (d *decoder) list(n int) []Action {
	if actions := d.transientList(n); len(actions) > 0 {
		return slices.Clone(actions)
	}
	return nil
}

// transientList is list, but what it returns is gone when the next list is read.
func (d *decoder) transientList(n int) []Action {
	if d.lists == nil {
		d.lists = &listReader{}
	}
	r := d.lists
	r.decoder = d.sub(n, "action", OFPBAC_BAD_LEN)
	r.whole, r.base = r.b, r.off
	r.found, r.open = r.room[:0], r.roomOpen[:0]
	for r.err == nil && (len(r.b) > 0 || len(r.open) > 0) {
		if n := len(r.open); n > 0 && r.off == int(r.open[n-1].end) {
			r.close()
		} else {
			r.next()
		}
	}
	if d.done(&r.decoder); d.err != nil {
		return nil
	}
	return r.found
}

// rest returns what is left of the innermost list.
func (r *listReader) rest() []byte {
	if n := len(r.open); n > 0 {
		return r.b[:int(r.open[n-1].end)-r.off]
	}
	return r.b
}

// next reads one action, or the beginning of one in which there are others.
func (r *listReader) next() {
	b, inner := r.rest(), len(r.open) > 0
	form, header, code := formOf(b)
	size := 0
	if len(b) >= 8 {
		size = int(be.Uint16(b[2:]))
	}
	switch {
	case code != 0 && (r.strict || inner):
	case size < 8 || size%8 != 0 || size > len(b):
		if code = OFPBAC_BAD_LEN; !inner {
			r.fail(code) // also if not strict: there is no telling where the next one begins
			return
		}
	case code == 0 && size != form.size && (!form.more || size < form.size):
		code = OFPBAC_BAD_LEN
	case code == 0 && form.debug && r.strict:
		code = OFPBAC_BAD_VENDOR_TYPE
	}
	if code != 0 {
		header = 0
	}
	if r.enter(r.off, size, header); code != 0 {
		r.body.fail(code)
	}
	switch {
	case r.body.err != nil:
		r.refused(r.off, size)
	case form.whole != nil:
		r.begin(form, size, header)
	default:
		r.add(form.read(&r.body), r.off, size)
	}
}

// enter sets body to the action of size bytes at start, behind its header.
func (r *listReader) enter(start, size, header int) {
	at := start - r.base
	r.body = decoder{b: r.whole[at:min(at+size, len(r.whole))], off: start, what: "action", short: OFPBAC_BAD_LEN, strict: true, quiet: !r.strict}
	r.body.skip(min(header, len(r.body.b)))
}

// begin opens the list of an action.
func (r *listReader) begin(form *wireForm, size, header int) {
	start := r.off
	if form.begin(&r.body); r.body.err != nil {
		r.refused(start, size)
		return
	}
	r.open = append(r.open, openList{int32(start), int32(start + size), int32(len(r.found)), int32(header), form})
	r.skip(r.body.off - start)
}

// close reads the action whose list has ended.
func (r *listReader) close() {
	o := r.open[len(r.open)-1]
	r.open = r.open[:len(r.open)-1]
	var list []Action
	if int(o.first) < len(r.found) {
		list = slices.Clone(r.found[o.first:])
	}
	r.found = r.found[:o.first]
	r.enter(int(o.start), int(o.end-o.start), int(o.header))
	a := o.form.whole(&r.body, list)
	r.body.b = nil
	r.add(a, int(o.start), int(o.end-o.start))
}

// add takes a, which was read from size bytes at start, unless it does not say all that
// they say.
func (r *listReader) add(a Action, start, size int) {
	if r.body.unread(len(r.body.b)); r.body.err != nil || r.body.lossy && !r.strict {
		r.refused(start, size)
		return
	}
	r.found = append(r.found, a)
	r.behind(start + size)
}

// refused ends a strict reading. Another one keeps the outermost action as it is.
func (r *listReader) refused(start, size int) {
	if r.strict {
		r.err, r.b = r.body.err, nil
		return
	}
	if len(r.open) > 0 {
		o := r.open[0]
		start, size = int(o.start), int(o.end-o.start)
		r.found, r.open = r.found[:o.first], r.open[:0]
	}
	r.found = append(r.found, Raw(r.whole[start-r.base:][:size]))
	r.behind(start + size)
}

// behind goes to a place in the message.
func (r *listReader) behind(off int) { r.b, r.off = r.whole[off-r.base:], off }
