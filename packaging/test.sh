#!/bin/bash
# Tries the Debian package: it is built twice and has the same bytes, lintian has nothing to say, and a Debian of its
# own, with systemd and Open vSwitch in it, installs, upgrades and purges it (inside.sh says what is looked at).
#
#   packaging/test.sh        as root; the system is made once, in a minute, and kept in the cache as it is then
#
# That system runs in namespaces, over a copy in memory that is thrown away: nothing of the host is touched. Whatever ends
# this script, and be it a kill -9, ends the system as well, and takes the files with it.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
die() { echo "test.sh: $*" >&2; exit 1; }
[ "$(id -u)" = 0 ] || die "must be root, to boot a system in namespaces"
for need in go:- git:git dpkg-buildpackage:dpkg-dev dh:debhelper lintian:lintian debootstrap:debootstrap systemd-nspawn:systemd-container setpriv:util-linux flock:util-linux; do
  command -v "${need%:*}" >/dev/null || die "there is no ${need%:*}: $([ "${need#*:}" = - ] && echo "install it" || echo "apt-get install ${need#*:}, or make deb-test, which does that")"
done

cache=${XDG_CACHE_HOME:-$HOME/.cache}/weir/deb
root=$cache/bookworm-2 # another number: another list of packages
packages=systemd,systemd-sysv,dbus,openvswitch-switch,iproute2,procps,man-db,mandoc,bash-completion,zsh,fish

work=$(mktemp -d)
machine=weir-test-$$
# Who reads this pipe sees its end when nothing that was begun here is left. A systemd-nspawn that is killed leaves a folder in /run.
remove() {
  rm -rf "$work"
  rmdir "/run/systemd/nspawn/propagate/$machine" 2>/dev/null || :
}
exec {alive}> >(trap '' INT TERM HUP QUIT && cat >/dev/null && remove)
export TMPDIR=$work # of everything below
end() {
  trap '' INT TERM HUP
  local child
  # What goes on beside this script has groups of its own, which a Ctrl-C does not reach. A system that is told once
  # shuts down, one that is told twice ends.
  for child in $(jobs -p) $(jobs -p); do kill -- "-$child" 2>/dev/null || :; done
  exec {alive}>&-
  wait # also for who removes the files
}
trap end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# Another run may be making it: one waits for the other.
mkdir -p "$cache"
exec {lock}>"$cache/lock"
flock "$lock"
if [ ! -d "$root" ]; then
  echo "making a Debian to install into"
  rm -rf "$root.new"
  setsid unshare --mount debootstrap --variant=minbase --include=$packages bookworm "$root.new" >"$cache/log" 2>&1 & wait $! ||
    { tail -n 20 "$cache/log" >&2; die "debootstrap has failed: it needs the archive of Debian, as apt does; all that it said is in $cache/log"; }
  rm -rf "$root.new/var/cache/apt/archives" "$root.new/var/lib/apt/lists"
  mv "$root.new" "$root"
fi
exec {lock}>&-

# The second of a version is built as somebody else would.
mkdir "$work/test"
gocache=$(go env GOCACHE) modules=$(go env GOMODCACHE)
WEIR_VERSION=0~test1 setsid "$here/deb.sh" "$work/test" >/dev/null &
wait $!
WEIR_VERSION=0~test2 setsid "$here/deb.sh" "$work/test" >"$work/new" &
one=$!
(umask 077 && cd / && HOME=$work TZ=Asia/Tokyo LC_ALL=C WEIR_VERSION=0~test2 GOCACHE=$gocache GOMODCACHE=$modules exec setsid "$here/deb.sh" "$work/again" >"$work/other") &
wait $one && wait $! || die "the package cannot be built"
new=$(cat "$work/new")
cmp "$new" "$(cat "$work/other")"
echo " OK  the same bytes twice: $(sha256sum <"$new" | cut -c1-16), $(stat -c %s "$new") bytes"
setsid lintian --allow-root --fail-on error,warning "$new" >"$work/lintian" 2>&1 &
lintian=$!

cp "$here/inside.sh" "$here/complete.py" "$here/testdata/model.yaml" "$work/test"
cat >"$work/test/weir-test.service" <<'UNIT'
[Unit]
After=multi-user.target openvswitch-switch.service
SuccessAction=exit
FailureAction=exit
SuccessActionExitStatus=0
FailureActionExitStatus=1

[Service]
Type=oneshot
ExecStart=/test/inside.sh
StandardOutput=append:/test/output
StandardError=append:/test/output
TimeoutStartSec=180
UNIT
: >"$work/test/output"

# The mounts are in a namespace of their own, which ends with the processes in it. What the system writes stays in memory, where
# dpkg need not wait for a disk, and an overlay can be also where /tmp is one.
mkdir "$work/copy"
setsid setpriv --pdeathsig KILL unshare --mount bash -euc '
  mount -t tmpfs -o size=1g tmpfs "$2/copy"
  mkdir "$2/copy/upper" "$2/copy/over" "$2/copy/root"
  mount -t overlay overlay -o "lowerdir=$1,upperdir=$2/copy/upper,workdir=$2/copy/over" "$2/copy/root"
  mkdir -p "$2/copy/root/etc/systemd/system/multi-user.target.wants"
  cp "$2/test/weir-test.service" "$2/copy/root/etc/systemd/system/"
  ln -s ../weir-test.service "$2/copy/root/etc/systemd/system/multi-user.target.wants/"
  exec systemd-nspawn --quiet --boot --directory="$2/copy/root" --machine="$3" --register=no --keep-unit \
    --private-network --bind="$2/test:/test" --console=pipe systemd.show_status=no
' - "$root" "$work" "$machine" </dev/null >"$work/boot" 2>&1 &
status=0
wait $! || status=$?
cat "$work/test/output"
# A system that somebody has shut down ends well, too: only inside.sh knows whether it has come to its end.
[ "$status" = 0 ] && [ -e "$work/test/passed" ] || { tail -n 20 "$work/boot" >&2; die "failed"; }
wait $lintian || { cat "$work/lintian" >&2; die "lintian has something to say"; }
cat "$work/lintian"
echo " OK  lintian"
