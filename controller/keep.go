package controller

import (
	"strings"

	"weir/apps/pipeline"
	"weir/intent"
)

// A keeping says which connections live on though policy no longer admits them. That is what
// the policies of the rules that had admitted them say, each as it was written last; of one
// that has been gone for longer, what the connection was marked with.
type keeping struct {
	numbers pipeline.Numbers
	said    map[intent.ID]intent.OnRevoke // by policy
}

// keepingOf is the keeping of a tenant. before is the model that was in force before its
// policy was changed, or nil.
func keepingOf(t *intent.Tenant, before *intent.Model, n pipeline.Numbers) keeping {
	k := keeping{n, map[intent.ID]intent.OnRevoke{}}
	if before != nil {
		k.note(before.Tenant(t.Name))
	}
	k.note(t)
	return k
}

func (k keeping) note(t *intent.Tenant) {
	if t == nil {
		return
	}
	for _, p := range t.Policies {
		k.said[p.ID()] = p.OnRevoke
	}
}

// on reports whether a connection that is marked to live on does so. One that a rule has not
// let out, or in, somebody else's flow has; but nobody lets it out of the outside, or in there.
func (k keeping) on(c pipeline.Connection) bool {
	left, came := c.Exempt() || c.Outward() || c.Reply.Dst != c.Orig.Src, c.Exempt() || c.Reply.Src != c.Orig.Dst
	for _, end := range []struct {
		tag     uint32
		outside bool
	}{{c.RuleOut, came && c.RuleIn != 0}, {c.RuleIn, left && c.RuleOut != 0}} {
		if end.tag == 0 && end.outside {
			continue
		}
		rule, known := k.numbers.Origin(end.tag)
		if !known {
			return false
		}
		said, written := k.said[policyOf(rule)]
		if written && said != intent.RevokeKeep {
			return false
		}
	}
	return true
}

// policyOf returns the policy of a rule: "blue/policy/db" of "blue/policy/db/app". A default
// has none.
func policyOf(rule intent.ID) intent.ID {
	i := strings.LastIndexByte(string(rule), '/')
	return rule[:max(i, 0)]
}
