package daemon

// An alarm is how near to its limit something is. What is over the limit is dropped, and nobody
// is told: not who sends it.
type alarm uint8

// The alarms.
const (
	calm     alarm = iota
	near           // four fifths are used
	critical       // nineteen twentieths are
	full           // all is
)

// alarmNames are as status has them.
var alarmNames = [...]string{calm: "", near: "near", critical: "critical", full: "full"}

// String returns "near", "critical", "full", or nothing.
func (a alarm) String() string { return alarmNames[a] }

// alarmLevels are the parts of the limit, in percent, from which on an alarm is given, and below
// which it is taken back: what goes up and down a little is told once.
var alarmLevels = [...]struct{ up, down uint64 }{near: {80, 75}, critical: {95, 90}, full: {100, 98}}

// A gauge remembers which alarm has been given.
type gauge struct{ alarm alarm }

// read looks how much of a limit is used, and reports whether the alarm is another one now. A
// limit of zero is none.
func (g *gauge) read(count, most uint64) (changed bool) {
	was := g.alarm
	g.alarm = calm
	for a := full; a > calm && most > 0; a-- {
		level := alarmLevels[a].up
		if was >= a {
			level = alarmLevels[a].down
		}
		if 100*count >= level*most {
			g.alarm = a
			break
		}
	}
	return g.alarm != was
}
