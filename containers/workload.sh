#!/bin/sh
# A workload, or the outside: interfaces that lead to bridges of hosts, a web server, and an echo.
#
#   LINKS    lines "HOST VNI": each is a port of a bridge there; several are joined, as by a switch
#   ADDRESS  with the length of the prefix
#   MAC      of the interface; GATEWAY: of the default route, if there is one
set -eu
vxlan=4789 # the port, RFC 7348

# Connection tracking in userspace takes checksums that the device was to fill in for wrong ones.
no_offload() { ethtool -K "$1" tx off rx off tso off gso off gro off >/dev/null 2>&1; }

# join makes an interface that leads to a host, again when that has another address than before.
join() { # join HOST VNI INTERFACE
  ip=$(getent ahostsv4 "$1" | sed -n '1s/ .*//p')
  [ -n "$ip" ] || return 1
  ip -d link show "$3" 2>/dev/null | grep -q "remote $ip " && return
  ip link del "$3" 2>/dev/null || :
  dev=$(ip -o route get "$ip" | sed -n 's/.* dev \([^ ]*\).*/\1/p')
  ip link add "$3" mtu 1400 type vxlan id "$2" remote "$ip" dev "$dev" dstport $vxlan
  no_offload "$3"
  if [ "$count" = 1 ]; then configure "$3"; else ip link set "$3" master e0 up; fi
}

configure() {
  ip link set "$1" address "$MAC"
  ip link set "$1" up
  ip addr replace "$ADDRESS" dev "$1"
  [ -z "${GATEWAY:-}" ] || ip route replace default via "$GATEWAY" dev "$1"
}

count=$(echo "$LINKS" | grep -c .)
if [ "$count" -gt 1 ]; then
  ip link show e0 >/dev/null 2>&1 || ip link add e0 mtu 1400 type bridge
  no_offload e0
  configure e0
fi
mkdir -p /tmp/www
hostname >/tmp/www/index.html
busybox httpd -p 80 -h /tmp/www
socat TCP-LISTEN:7,fork,reuseaddr EXEC:cat &
trap 'exit 0' TERM INT
while :; do
  n=0
  echo "$LINKS" | grep . | while read -r host vni; do
    name=e0
    [ "$count" = 1 ] || name=link$n
    n=$((n + 1))
    join "$host" "$vni" "$name" || :
  done
  sleep 1 &
  wait $! || :
done
