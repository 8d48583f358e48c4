package api

import (
	"errors"
	"strings"
)

// OnHost is what is of a host, with its name if it has one: "b/netdev".
func OnHost(host, what string) string {
	if host == "" {
		return what
	}
	return host + "/" + what
}

// LastPart is the name in the id of an intent, a backend or a meter: what comes after the last slash.
func LastPart(id string) string { return id[strings.LastIndexByte(id, '/')+1:] }

// State says how a bridge is in a word: "not connected", "programmed", "error", "degraded" or "working".
func (b Bridge) State() string {
	switch {
	case !b.Connected:
		return "not connected"
	case b.Programmed:
		return "programmed"
	case b.Error != "":
		return "error"
	case len(b.Refused) > 0:
		return "degraded"
	}
	return "working"
}

// AsFarAsReached takes an error for nothing that is about hosts that could not be read: figures are of those that
// are reached, and the status says which are not.
func AsFarAsReached(err error) error {
	var unread Unread
	if errors.As(err, &unread) {
		return nil
	}
	return err
}
