//go:build race

package ofproto

// raceDetector says that the race detector is on: it takes memory of its own, and moves
// values to the heap.
const raceDetector = true
