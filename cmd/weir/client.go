package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"

	"weir/api"
)

// defaultSocket is where a daemon answers unless it is told another place.
const defaultSocket = "/run/weir/weir.sock"

// socketFlag adds --socket to a command.
func socketFlag(cmd *cobra.Command) *string {
	return cmd.Flags().String("socket", defaultSocket, "the daemon's control socket")
}

// A client asks the daemon behind a control socket.
type client struct {
	socket string
	http   http.Client
}

func newClient(socket string) *client {
	var d net.Dialer
	return &client{socket: socket, http: http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return d.DialContext(ctx, "unix", socket)
		},
	}}}
}

// get asks for path and puts the answer into v.
func (c *client) get(ctx context.Context, path string, query url.Values, v any) error {
	return c.do(ctx, http.MethodGet, path+"?"+query.Encode(), nil, v)
}

// post sends body to path and puts the answer into v.
func (c *client) post(ctx context.Context, path string, body, v any) error {
	b, err := json.Marshal(body)
	if err != nil {
		return err
	}
	return c.do(ctx, http.MethodPost, path, bytes.NewReader(b), v)
}

func (c *client) do(ctx context.Context, method, path string, body io.Reader, v any) error {
	req, err := http.NewRequestWithContext(ctx, method, "http://weir"+path, body)
	if err != nil {
		return err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return c.unreachable(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return problemIn(resp)
	}
	if err := json.NewDecoder(resp.Body).Decode(v); err != nil {
		return fmt.Errorf("the daemon's answer to %s: %w", path, err)
	}
	if _, err := io.Copy(io.Discard, resp.Body); err != nil { // trailers come behind it
		return fmt.Errorf("the daemon's answer to %s: %w", path, err)
	}
	return unreadIn(resp)
}

// open asks for path, and returns the answer to be read as it comes, a value on each line.
func (c *client) open(ctx context.Context, path string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://weir"+path, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/x-ndjson")
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.unreachable(err)
	}
	if resp.StatusCode != http.StatusOK {
		defer resp.Body.Close()
		return nil, problemIn(resp)
	}
	return resp, nil
}

// eachOf goes through the values of an answer as the daemon sends them.
func eachOf[T any](ctx context.Context, c *client, path string, each func(T) error) error {
	resp, err := c.open(ctx, path)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	for lines := json.NewDecoder(resp.Body); ; {
		var one T
		switch err := lines.Decode(&one); {
		case errors.Is(err, io.EOF):
			return unreadIn(resp)
		case err != nil:
			return fmt.Errorf("the daemon's answer ends early: %w", err)
		}
		if err := each(one); err != nil {
			return err
		}
	}
}

// unreachable says why the daemon cannot be asked, and what to do.
func (c *client) unreachable(err error) error {
	var op *net.OpError
	if !errors.As(err, &op) || op.Op != "dial" {
		return err
	}
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%s: permission denied: the control socket is for root only", c.socket)
	}
	return fmt.Errorf(`no daemon answers on %s (%w): start "weir serve", or name its socket with --socket`, c.socket, op.Err)
}

// problemIn is the error that the daemon answered.
func problemIn(resp *http.Response) error {
	p := &api.Problem{}
	if err := json.NewDecoder(resp.Body).Decode(p); err != nil || p.Detail == "" {
		return fmt.Errorf("the daemon answered %s", resp.Status)
	}
	return p
}

// unreadIn says which hosts' connections an answer lacks that has been read to its end.
func unreadIn(resp *http.Response) error {
	if why := resp.Trailer.Get(api.UnreadTrailer); why != "" {
		return api.Unread{Why: why}
	}
	return nil
}
