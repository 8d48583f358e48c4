package daemon

import (
	"fmt"
	"net"
	"os"
)

// notify tells the service manager that started us how we are: "READY=1" (sd_notify(3)). Without
// one it does nothing.
func notify(state string) error {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return nil
	}
	c, err := net.Dial("unixgram", path) // "@NAME" is a name in the abstract namespace, to Go as to systemd
	if err != nil {
		return fmt.Errorf("NOTIFY_SOCKET: %w", err)
	}
	defer c.Close()
	_, err = c.Write([]byte(state))
	return err
}
