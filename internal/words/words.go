// Package words has what many texts for people are made of.
package words

import "fmt"

// Count says how many things there are: "1 flow", "0 flows", "12 flows".
func Count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprint(n, " ", many)
}
