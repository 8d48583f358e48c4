package oftest

import (
	"cmp"
	"slices"
	"time"

	"weir/ofproto"
)

// maxGroup is OFPG_MAX, the highest number of a group.
const maxGroup = 0xffffff00

// applyGroup carries out a group-mod (OpenFlow 1.3, 6.5). As in Open vSwitch, what the
// buckets of a group refer to is not looked at: a group may use one that is not there, or
// itself.
func (t *tables) applyGroup(m ofproto.GroupMod, by change) error {
	id := m.Group.ID
	old := t.groups[id]
	switch {
	case m.Command == ofproto.GroupDelete:
		t.deleteGroups(id)
		t.others = append(t.others, forward{m, by})
		return nil
	case m.Command == ofproto.GroupAdd && old != nil:
		return ofproto.OFPGMFC_GROUP_EXISTS
	case m.Command != ofproto.GroupAdd && m.Command != ofproto.GroupAddOrMod && old == nil:
		return ofproto.OFPGMFC_UNKNOWN_GROUP
	case id > maxGroup:
		return ofproto.OFPGMFC_INVALID_GROUP
	}
	if m.Command == ofproto.GroupInsertBucket || m.Command == ofproto.GroupRemoveBucket {
		var err error
		if m.Group, err = edited(m, old); err != nil {
			return err
		}
	}
	t.putGroup(&group{Group: m.Group, created: time.Now()})
	switch m.Command { // of which not all have a name in OpenFlow 1.3
	case ofproto.GroupAddOrMod: // Open vSwitch 3.1 says this even of a group that was there
		m.Command = ofproto.GroupAdd
	case ofproto.GroupInsertBucket, ofproto.GroupRemoveBucket:
		m.Command = ofproto.GroupModify
	}
	t.others = append(t.others, forward{m, by})
	return nil
}

// edited returns a group with buckets put before those that it has, or with none. Over
// OpenFlow 1.3 there is no way to name a bucket: each gets its place in the message as its
// name, so that new ones beside old ones are always two of a name.
func edited(m ofproto.GroupMod, old *group) (ofproto.Group, error) {
	n := ofproto.Group{ID: old.ID, Type: old.Type}
	if m.Command == ofproto.GroupRemoveBucket {
		return n, nil
	}
	if len(m.Group.Buckets) > 0 && len(old.Buckets) > 0 {
		return n, ofproto.OFPGMFC_BUCKET_EXISTS
	}
	n.Buckets = slices.Concat(m.Group.Buckets, old.Buckets)
	return n, nil
}

// deleteGroups deletes a group, or all of them, and the flows that use it.
func (t *tables) deleteGroups(id uint32) {
	for _, g := range t.sortedGroups() {
		if g.ID != id && id != ofproto.AllGroups {
			continue
		}
		t.removeFlows(t.flowsThat(func(f *flow) bool { return usesGroup(f.Actions, g.ID) }), event{reason: ofproto.RemovedByGroup})
		t.removeGroup(g)
	}
}

// flowsThat returns the flows of which is holds, in order.
func (t *tables) flowsThat(is func(*flow) bool) (found []*flow) {
	for _, f := range t.flows {
		if is(f) {
			found = append(found, f)
		}
	}
	sortFlows(found)
	return found
}

func (t *tables) sortedGroups() []*group {
	all := make([]*group, 0, len(t.groups))
	for _, g := range t.groups {
		all = append(all, g)
	}
	slices.SortFunc(all, func(a, b *group) int { return cmp.Compare(a.ID, b.ID) })
	return all
}
