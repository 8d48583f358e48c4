package api

import (
	"encoding/json"
	"errors"
	"net/http"

	"weir/intent"
)

// A Problem is an error as RFC 9457 has it, with the places in the files that were
// sent. It satisfies error.
type Problem struct {
	Type     string  `json:"type"`   // always "about:blank": the status says it all
	Title    string  `json:"title"`  // the HTTP status in words
	Status   int     `json:"status"` // the HTTP status
	Detail   string  `json:"detail"` // for people
	Problems []Place `json:"problems,omitempty"`
}

// A Place is one mistake in a file.
type Place struct {
	File   string `json:"file"`
	Line   int    `json:"line,omitempty"`   // from 1; zero: unknown
	Column int    `json:"column,omitempty"` // from 1; zero: unknown
	Path   string `json:"path,omitempty"`   // "rules[0].ports"
	Why    string `json:"why"`
	Hint   string `json:"hint,omitempty"` // what to do
}

func (p *Problem) Error() string { return p.Detail }

// problemOf says err with the status that fits it.
func problemOf(err error) *Problem {
	var tooLarge *http.MaxBytesError
	var unknown UnknownTenant
	var bad intent.Problems
	var p *Problem
	switch {
	case errors.As(err, &p):
		return p
	case errors.As(err, &bad):
		return &Problem{Status: http.StatusUnprocessableEntity, Detail: bad.Error(), Problems: placesOf(bad)}
	case errors.As(err, &unknown):
		return &Problem{Status: http.StatusNotFound, Detail: err.Error()}
	case errors.As(err, &tooLarge):
		return &Problem{Status: http.StatusRequestEntityTooLarge, Detail: err.Error()}
	}
	return &Problem{Status: http.StatusInternalServerError, Detail: err.Error()}
}

func placesOf(bad intent.Problems) []Place {
	places := make([]Place, len(bad))
	for i, b := range bad {
		places[i] = Place{File: b.At.File, Line: b.At.Line, Column: b.At.Column, Path: b.Path, Why: b.Why, Hint: b.Hint}
	}
	return places
}

// write sends p.
func (p Problem) write(w http.ResponseWriter) {
	p.Type, p.Title = "about:blank", http.StatusText(p.Status)
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	// The client may have gone; there is nobody else to tell.
	_ = json.NewEncoder(w).Encode(p)
}
