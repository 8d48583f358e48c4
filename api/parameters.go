package api

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// filterParameters say which connections (ParseFilter).
var filterParameters = []string{"tenant", "protocol", "src", "dst", "sport", "dport", "nat", "as", "select"}

// parameters are what the request of a pattern may have behind its path. One that is not here
// has none. A misspelt one would answer another question than was asked, or end more than was
// meant: it is refused.
var parameters = map[string][]string{
	"GET /v1/connections":            filterParameters,
	"GET /v1/connections/changes":    filterParameters,
	"DELETE /v1/connections":         append(slices.Clone(filterParameters), "all", "plan"),
	"DELETE /v1/connections/{ref}":   {"plan"},
	"GET /v1/balancers":              {"tenant"},
	"GET /v1/observations":           {"tenant", "verdict", "after", "explain"},
	"GET /v1/bridges/{bridge}/flows": {"tenant", "table", "intent", "unused", "offload"},
	"GET /v1/rules":                  {"tenant", "unused"},
}

// unknownParameter returns what is wrong with the parameters of a request to a pattern: nil
// if nothing is. What is not of this API's version, as /metrics, takes what it likes.
func unknownParameter(pattern string, query url.Values) *Problem {
	if !strings.Contains(pattern, " /v1/") {
		return nil
	}
	may := parameters[pattern]
	for _, name := range slices.Sorted(maps.Keys(query)) {
		switch {
		case slices.Contains(may, name):
		case len(may) == 0:
			return &Problem{Status: http.StatusBadRequest, Detail: fmt.Sprintf("there is no parameter %q: %s has none", name, pattern)}
		default:
			return &Problem{Status: http.StatusBadRequest, Detail: fmt.Sprintf("there is no parameter %q: there are %s", name, strings.Join(may, ", "))}
		}
	}
	return nil
}
