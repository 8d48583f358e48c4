#!/bin/bash
# Installs the Debian packages that are missing, and nothing else.
#
#   scripts/deps.sh [kernel|vm|bench|ovn|containers|deb]
#     kernel: what the guest with the kernel datapath needs as well
#     vm: what the virtual machine with Debian's kernel needs
#     bench: the peers that the benchmarks are measured against
#     ovn: OVN, which is one of them, and which not every machine can get
#     containers: Docker's engine and Compose, where neither is there already
#     deb: what builds and tries the Debian package
#
# Services that a package would start are not started; those that run are left alone.
set -euo pipefail

need=(openvswitch-switch iproute2 ethtool tcpdump iputils-ping procps nftables conntrack tmux)
[ "${1:-}" = kernel ] && need+=(build-essential flex bison bc xz-utils busybox-static perl)
[ "${1:-}" = vm ] && need+=(qemu-system-x86 busybox-static kmod)
[ "${1:-}" = bench ] && need+=(openvswitch-testcontroller)
[ "${1:-}" = ovn ] && need+=(ovn-central ovn-host)
if [ "${1:-}" = containers ]; then
  need+=(debootstrap)
  docker info >/dev/null 2>&1 || command -v dockerd >/dev/null || need+=(docker.io)
  docker compose version >/dev/null 2>&1 || command -v docker-compose >/dev/null || need+=(docker-compose)
fi
[ "${1:-}" = deb ] && need=(debhelper lintian debootstrap systemd-container man-db)

missing=()
for p in "${need[@]}"; do
  dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || missing+=("$p")
done
[ ${#missing[@]} -eq 0 ] && exit 0
[ "$(id -u)" = 0 ] || { echo "deps.sh: not root, and these packages are missing: ${missing[*]}" >&2; exit 1; }

echo "installing ${missing[*]}"
policy=/usr/sbin/policy-rc.d # with this in place no package starts a service
if [ ! -e "$policy" ]; then
  trap 'rm -f "$policy"' EXIT
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 755 "$policy"
fi
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
apt() { apt-get -q -y -o DPkg::Lock::Timeout=300 --no-install-recommends "$@" >>"$log" 2>&1; }
apt install "${missing[@]}" || { apt update && apt install "${missing[@]}"; } || { tail -n 20 "$log" >&2; exit 1; }
rm -f "$log"
