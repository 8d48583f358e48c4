#!/bin/bash
# Runs tests on another Open vSwitch than the one that is installed.
#
#   scripts/ovs-version.sh PREFIX [ARGUMENTS OF go test]
#   scripts/ovs-version.sh --kernel PREFIX [TEST-PATTERN]
#
# PREFIX is what that Open vSwitch was installed into: it has sbin/ovs-vswitchd, bin/ovs-ofctl and
# share/openvswitch/vswitch.ovsschema. Without arguments all packages run that speak with Open vSwitch, with
# traffic on the userspace datapath; with --kernel the scenarios run on the kernel's datapath, in guests.
# Nothing of the host is touched.
set -euo pipefail
die() { echo "ovs-version.sh: $*" >&2; exit 1; }

kernel=
[ "${1:-}" = --kernel ] && { kernel=yes; shift; }
[ $# -gt 0 ] || die "which one? scripts/ovs-version.sh [--kernel] PREFIX [ARGUMENTS]"
prefix=$(cd "$1" 2>/dev/null && pwd) || die "$1 is no folder"
shift
for file in sbin/ovs-vswitchd sbin/ovsdb-server bin/ovsdb-tool bin/ovs-vsctl bin/ovs-ofctl bin/ovs-appctl share/openvswitch/vswitch.ovsschema; do
  [ -e "$prefix/$file" ] || die "$prefix has no $file: it is not what an Open vSwitch was installed into (--prefix)"
done
cd "$(dirname "$0")/.."
export PATH=$prefix/sbin:$prefix/bin:$PATH
ovs-vswitchd --version | head -n 1

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
${GO:-go} build -o "$work/weir" ./cmd/weir
export WEIR_INTEGRATION=1 WEIR_BIN=$work/weir
if [ "$kernel" ]; then
  WEIR_OVS=$prefix test/uml/integration.sh "$@"
  exit
fi
[ $# -gt 0 ] || set -- ./ofproto/... ./ovsdb ./conntrack ./internal/... ./apps ./controller ./cmd/weir ./test
${GO:-go} test -count=1 -timeout 60m "$@" # -count: what is in PATH is no part of what Go remembers a result by
