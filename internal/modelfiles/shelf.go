package modelfiles

import (
	"bytes"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"weir/intent"
)

// A shelf has what was read of files. A daemon reads all of them whenever one has changed: those
// that have not are not opened again, and the others are read over what they said before. What it
// returns is good until then.
type shelf map[string]shelved

// A shelved is what a file said.
type shelved struct {
	data    []byte
	stamp   stamp
	settled bool // nobody can have changed it since and left the stamp as it is
}

// A stamp changes when a file does, unless that is while the file system's clock stands still.
// The time of the inode is nobody's to set.
type stamp struct {
	size, modified, changed int64
	device, inode           uint64
}

func stampOf(info fs.FileInfo) stamp {
	s := stamp{size: info.Size(), modified: info.ModTime().UnixNano()}
	if sys, ok := info.Sys().(*syscall.Stat_t); ok {
		s.changed, s.device, s.inode = sys.Ctim.Nano(), uint64(sys.Dev), sys.Ino
	}
	return s
}

// clockStep is more than the clocks of file systems take for a step; FAT takes two seconds.
const clockStep = 3 * time.Second

// settledAt reports whether a file with this stamp gets another one if it is written to later
// than at a time.
func (s stamp) settledAt(t time.Time) bool {
	return s.changed != 0 && max(s.modified, s.changed) < t.Add(-clockStep).UnixNano()
}

// localSystems are the file systems whose stamps are those of the moment: one that is shared over
// a network may tell for a while what it has told before, until the file is opened.
var localSystems = []int64{unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.BTRFS_SUPER_MAGIC, unix.TMPFS_MAGIC, unix.F2FS_SUPER_MAGIC, unix.OVERLAYFS_SUPER_MAGIC}

func isLocal(f *os.File) bool {
	var s unix.Statfs_t
	return unix.Fstatfs(int(f.Fd()), &s) == nil && slices.Contains(localSystems, s.Type)
}

func (s shelf) read(path string, stdin io.Reader) ([]intent.Source, error) {
	if path == Stdin {
		s, err := readSource("standard input", stdin)
		return []intent.Source{s}, err
	}
	files, err := filesAt(path)
	if err != nil {
		return nil, err
	}
	maps.DeleteFunc(s, func(name string, _ shelved) bool {
		_, still := slices.BinarySearch(files, name)
		return !still
	})
	found, sources := make([]shelved, len(files)), make([]intent.Source, len(files))
	var group errgroup.Group
	group.SetLimit(readers)
	for i, f := range files {
		if found[i] = s[f]; found[i].still(f) {
			continue
		}
		group.Go(func() (err error) {
			found[i], err = readFile(f, found[i].data)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	for i, f := range files {
		s[f], sources[i] = found[i], intent.Source{Name: f, Data: found[i].data}
	}
	return sources, nil
}

// readers is how many files are read at the same time: of a folder with hundreds, each takes
// a few system calls.
const readers = 4

// still reports whether a file says what it said.
func (s shelved) still(name string) bool {
	if !s.settled {
		return false
	}
	info, err := os.Stat(name)
	return err == nil && stampOf(info) == s.stamp
}

// readFile reads a file, into a buffer if that is large enough.
func readFile(name string, into []byte) (s shelved, err error) {
	// Not blocking, so that a FIFO without a writer cannot hold us up.
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return s, err
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
		size := int(min(info.Size(), maxSource)) + bytes.MinRead // so that it is read at once
		into = slices.Grow(into[:0], size)
		s.stamp = stampOf(info)
		s.settled = s.stamp.settledAt(time.Now()) && isLocal(f)
	}
	src, err := readInto(name, f, into)
	s.data = src.Data
	return s, err
}
