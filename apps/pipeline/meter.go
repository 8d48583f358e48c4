package pipeline

import (
	"slices"

	"weir/intent"
	"weir/ofproto"
)

// PuntMeter is the number of the meter through which packets go to the controller that are
// no single intent's. It is one for a bridge, and well above those that people choose by
// hand.
const PuntMeter = 60001

// puntRate is how many packets a second are sent to the controller at most, so that
// nobody can keep it, or the switch's main loop, from its work.
const puntRate = 200

// firstMeter is where the meters of intents begin, each as far behind it as its intent's
// tag says. A tag is given once and for life, and so is the number of a meter: nothing has
// to be remembered to know whose a meter is that is found in a bridge. Open vSwitch takes
// any number up to lastMeter, and has room for 262,144 meters (200,000 in the kernel).
const (
	firstMeter = 1 << 28
	lastMeter  = 0xffff0000 // OFPM_MAX
)

// MeterOf returns the number of the meter of the intent with a tag.
func MeterOf(tag uint32) uint32 { return firstMeter + tag }

// MeterTag returns the tag of the intent whose meter has a number, zero for one that is
// the bridge's, and whether the meter is one of Weir's.
func MeterTag(number uint32) (tag uint32, owned bool) {
	if number < firstMeter || number > lastMeter {
		return 0, number == PuntMeter
	}
	return number - firstMeter, true
}

// Meter adds the meter of id, which lets so many packets pass in a second, and drops what
// is more. It returns the meter's number, and false if the switch has refused the intent:
// then there is none.
func (b *Builder) Meter(id intent.ID, rate uint32) (number uint32, ok bool) {
	if b.Refused(id) {
		return 0, false
	}
	number = MeterOf(b.Numbers.Tag(id))
	b.unit.Meters = append(b.unit.Meters, meter(number, rate))
	return number, true
}

// meter lets so many packets pass in a second, and at once what it has let pass too few
// in the second before.
func meter(number, rate uint32) ofproto.MeterConfig {
	return ofproto.MeterConfig{
		ID: number, Flags: ofproto.MeterPacketsPerSecond | ofproto.MeterBurst,
		Bands: []ofproto.MeterBand{{Type: ofproto.MeterDrop, Rate: rate, Burst: rate}},
	}
}

// Punt returns the actions that send a packet to the controller, metered for the bridge.
func (b *Builder) Punt() []ofproto.Action {
	if !slices.ContainsFunc(b.unit.Meters, func(m ofproto.MeterConfig) bool { return m.ID == PuntMeter }) {
		b.unit.Meters = append(b.unit.Meters, meter(PuntMeter, puntRate))
	}
	return []ofproto.Action{ofproto.Meter(PuntMeter), ofproto.Output{Port: ofproto.PortController, MaxLen: 0xffff}}
}
