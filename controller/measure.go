package controller

import "time"

// A Part is a part of making a bridge as it should be.
type Part string

// The parts, in their order.
const (
	PartRead    Part = "read"    // all tables of the bridge are read
	PartCompile Part = "compile" // what of the model has changed becomes flows
	PartCompare Part = "compare" // with what the bridge has
	PartApply   Part = "apply"   // the bridge takes what is to be changed
)

// Parts are all of them.
var Parts = []Part{PartRead, PartCompile, PartCompare, PartApply}

// A Punt is what a packet was for that a flow sent to the controller.
type Punt string

// What packets are for.
const (
	PuntProbe     Punt = "probe"     // a backend answers who asked how it is
	PuntReport    Punt = "report"    // a rule has log
	PuntNeighbour Punt = "neighbour" // a next hop says where it is
	PuntAnswer    Punt = "answer"    // it was answered: refused, expired, or asked for a neighbour
	PuntIgnored   Punt = "ignored"   // nothing has become of it
	PuntDropped   Punt = "dropped"   // too many waited
)

// Punts are all of them.
var Punts = []Punt{PuntProbe, PuntReport, PuntNeighbour, PuntAnswer, PuntIgnored, PuntDropped}

// took tells how long a part has taken that began at a time.
func (s *session) took(part Part, began time.Time) { s.config.Took(s.name, part, time.Since(began)) }
