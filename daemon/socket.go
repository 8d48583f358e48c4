package daemon

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
)

// maxUnixPath is the room for a path in struct sockaddr_un, less the closing zero.
const maxUnixPath = 107

// listenUnix listens on a unix socket that only its owner can open. A socket that a
// killed process left behind is replaced; one that somebody answers is not. The
// socket is removed when the listener is closed.
func listenUnix(path string) (net.Listener, error) {
	if len(path) > maxUnixPath {
		return nil, fmt.Errorf("%s: a unix socket's path has at most %d bytes", path, maxUnixPath)
	}
	if err := removeStale(path); err != nil {
		return nil, err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// removeStale removes a socket that nobody listens on.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode()&os.ModeSocket == 0 {
		return fmt.Errorf("%s exists and is no socket", path)
	}
	c, err := net.Dial("unix", path)
	if err == nil {
		return errors.Join(c.Close(), fmt.Errorf("%s: another process listens there", path))
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return err
	}
	return os.Remove(path)
}

// listenBridge listens where a bridge looks for its controller: the only unix path
// that ovs-vswitchd lets a bridge use. The socket goes to the owner of the run
// directory, as whom ovs-vswitchd runs. If that is root, who opens any socket, it may stay
// ours: giving files away takes a capability that a daemon that is not root need not have.
func listenBridge(rundir, bridge string) (net.Listener, error) {
	path := controllerPath(rundir, bridge)
	l, err := listenUnix(path)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(rundir)
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	if owner, ok := info.Sys().(*syscall.Stat_t); ok && int(owner.Uid) != os.Getuid() {
		if err := os.Chown(path, int(owner.Uid), int(owner.Gid)); err != nil && (owner.Uid != 0 || !errors.Is(err, fs.ErrPermission)) {
			return nil, errors.Join(err, l.Close())
		}
	}
	return l, nil
}

func controllerPath(rundir, bridge string) string {
	return filepath.Join(rundir, controllerName(bridge))
}

// controllerName is the name of that socket in the run directory.
func controllerName(bridge string) string { return bridge + ".controller" }
