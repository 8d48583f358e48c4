#!/bin/bash
# Tries the Debian package: it is built twice and has the same bytes, lintian has nothing to say, and a Debian of its
# own, with systemd and Open vSwitch in it, installs, upgrades and purges it (inside.sh says what is looked at).
#
#   packaging/test.sh        as root; the system is made once, in a minute, and kept in the cache as it is then
#
# That system runs in namespaces, over a copy that is thrown away: nothing of the host is touched, and it ends with
# this script.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
[ "$(id -u)" = 0 ] || { echo "test.sh: must be root, to boot a system in namespaces" >&2; exit 1; }
cache=${XDG_CACHE_HOME:-$HOME/.cache}/weir/deb
root=$cache/bookworm-1 # another number: another list of packages
packages=systemd,systemd-sysv,dbus,openvswitch-switch,iproute2,procps,man-db

if [ ! -d "$root" ]; then
  echo "making a Debian to install into"
  mkdir -p "$cache"
  rm -rf "$root.new"
  debootstrap --variant=minbase --include=$packages bookworm "$root.new" >"$cache/log" 2>&1 || { tail -n 20 "$cache/log" >&2; exit 1; }
  mv "$root.new" "$root"
fi

work=$(mktemp -d)
system=
end() {
  if [ "$system" ]; then
    kill "$system" 2>/dev/null && wait "$system" || :
  fi
  rm -rf "$work"
}
trap end EXIT
mkdir "$work/test"
WEIR_VERSION=0~test1 "$here/deb.sh" "$work/test" >/dev/null
new=$(WEIR_VERSION=0~test2 "$here/deb.sh" "$work/test")
gocache=$(go env GOCACHE) modules=$(go env GOMODCACHE)
again=$(umask 077 && cd / && HOME=$work TZ=Asia/Tokyo LC_ALL=C WEIR_VERSION=0~test2 GOCACHE=$gocache GOMODCACHE=$modules "$here/deb.sh" "$work/again")
cmp "$new" "$again"
echo " OK  the same bytes twice: $(sha256sum <"$new" | cut -c1-16), $(stat -c %s "$new") bytes"
lintian --allow-root --fail-on error,warning "$new"
echo " OK  lintian"

cp "$here/inside.sh" "$here/testdata/model.yaml" "$work/test"
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

# The mounts are in a namespace of their own, which ends with the processes in it.
mkdir "$work/upper" "$work/over" "$work/root"
setpriv --pdeathsig TERM unshare --mount bash -euc '
  mount -t overlay overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/over" "$2/root"
  mkdir -p "$2/root/etc/systemd/system/multi-user.target.wants"
  cp "$2/test/weir-test.service" "$2/root/etc/systemd/system/"
  ln -s ../weir-test.service "$2/root/etc/systemd/system/multi-user.target.wants/"
  exec systemd-nspawn --quiet --boot --directory="$2/root" --machine=weir-test-$$ --register=no --keep-unit \
    --private-network --bind="$2/test:/test" --console=pipe systemd.show_status=no
' - "$root" "$work" </dev/null >"$work/boot" 2>&1 &
system=$!
status=0
wait "$system" || status=$?
system=
cat "$work/test/output"
[ "$status" = 0 ] || { tail -n 20 "$work/boot" >&2; echo "test.sh: failed" >&2; exit 1; }
