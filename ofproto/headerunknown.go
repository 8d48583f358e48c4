package ofproto

// unknown returns the error that Open vSwitch gives for the header of no field. Which of two
// it is depends on whether any field's header of another length is in the same bucket of its
// hash table of headers.
func (h header) unknown(masked bool, n int) ErrorCode {
	one := n
	if masked {
		one /= 2
	}
	if h.class == classExperimenter {
		one += 4
	}
	for _, l := range headerBuckets[h.bucket(one)] {
		if one > 0 && l != one {
			return OFPBAC_BAD_SET_LEN
		}
	}
	return OFPBAC_BAD_SET_TYPE
}

const numBuckets = 128 // for the 128 to 255 headers that there are

// headerBuckets has the lengths of all headers, by their buckets in the hash table of Open
// vSwitch.
var headerBuckets = func() (buckets [numBuckets][]int) {
	for h, f := range byHeader {
		n := info[f].bytes
		if h.class == classExperimenter {
			n += 4
		}
		i := h.bucket(n)
		buckets[i] = append(buckets[i], n)
	}
	return buckets
}()

// bucket returns the lowest bits of MurmurHash3 of a header that says that n bytes follow: but
// for the highest bit of n, which slips in.
func (h header) bucket(n int) uint32 {
	high := uint32(h.class)<<16 | uint32(h.num)<<9 | uint32(n&0x80)
	hash := murmur(murmur(0, h.experimenter), high) ^ 8
	hash ^= hash >> 16
	hash *= 0x85ebca6b
	hash ^= hash >> 13
	hash *= 0xc2b2ae35
	hash ^= hash >> 16
	return hash % numBuckets
}

// murmur takes one word into a MurmurHash3.
func murmur(hash, data uint32) uint32 {
	data *= 0xcc9e2d51
	data = data<<15 | data>>17
	hash ^= data * 0x1b873593
	hash = hash<<13 | hash>>19
	return hash*5 + 0xe6546b64
}
