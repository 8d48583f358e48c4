package nat

import (
	"net/netip"

	"weir/apps/pipeline"
	"weir/intent"
	"weir/ofproto"
)

// martian is the priority in ArpNd of what is for the router and says that it is from where it cannot be: behind
// what speaks of neighbours, which may have no address yet, and in front of what is answered or let in.
const martian = 93

// martians drops what comes by x from an address that nothing comes from, before anybody is asked
// whose it is, or it is answered.
func martians(b *pipeline.Builder, x pipeline.ExternalSite) {
	for _, from := range pipeline.FromMartians() {
		notFrom(b, x.ID(), x, from)
	}
}

// ourselves drops what comes by x from p, which the router has on that side: what is sent there comes to this
// bridge, so that whoever it is could not be answered. By another outside it may come: what leaves by one
// untranslated can come back by another.
func ourselves(b *pipeline.Builder, x pipeline.ExternalSite, id intent.ID, p netip.Prefix) {
	notFrom(b, id, x, ofproto.InPrefix(pipeline.IPSrc(p.Addr()), p))
}

func notFrom(b *pipeline.Builder, id intent.ID, x pipeline.ExternalSite, from ofproto.Cond) {
	b.Flow(id, pipeline.ArpNd, martian, ofproto.MatchOn(cameBy(x), ofproto.IsMAC(ofproto.EthDst, x.RouterMAC()), from), pipeline.ToDrop(pipeline.Spoofed)...)
}
