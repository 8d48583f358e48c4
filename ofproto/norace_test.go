//go:build !race

package ofproto

const raceDetector = false
