#!/bin/sh
# A host: its first process starts Open vSwitch, makes the bridges, and joins the ports to the workloads.
#
#   BRIDGES  names of bridges
#   PORTS    lines "BRIDGE PORT VNI PEER": a port whose other end is in the container PEER, over VXLAN
#   TLS      the folder with key.pem, cert.pem and ca.pem (of the controllers); empty: no TLS
#
# As root it looks whether it has what it needs; Open vSwitch runs as "weir" with two powers, over the
# network of this container alone.
set -eu
run=/run/openvswitch
conf=/var/lib/openvswitch/conf.db
vxlan=4789 # the port, RFC 7348

fail() {
  echo "ovs.sh: $1" >&2
  echo "ovs.sh: $2" >&2
  exit 78
}

has() { # has BIT: is the capability effective?
  caps=$(sed -n 's/^CapEff:[[:space:]]*//p' /proc/self/status)
  [ $(((0x$caps >> $1) & 1)) = 1 ]
}

need() { # need BIT NAME WHY
  has "$1" || fail "this container lacks $2: $3" "docker run --cap-add $2, or cap_add: [$2] in a compose file"
}

check_powers() {
  need 12 NET_ADMIN "Open vSwitch cannot make interfaces"
  need 13 NET_RAW "Open vSwitch cannot send what it forwards"
  need 0 CHOWN "its folders cannot be given to weir, as which Open vSwitch runs"
  need 6 SETGID "Open vSwitch cannot run as weir"
  need 7 SETUID "Open vSwitch cannot run as weir"
}

check_tun() {
  tun=/dev/net/tun
  give="docker run --device $tun, or in a compose file devices: [$tun] or device_cgroup_rules: ['c 10:200 rwm']"
  [ -c $tun ] || { mkdir -p /dev/net && mknod -m 600 $tun c 10 200; } 2>/dev/null ||
    fail "there is no $tun in this container, with which Open vSwitch makes the interface of a bridge" "$give"
  why=$( (: <>$tun) 2>&1) && return
  case $why in
  *"No such device"*) fail "the kernel of this machine has no $tun: $why" "load its module on the machine itself, not in the container: modprobe tun" ;;
  esac
  fail "$tun cannot be opened: $why" "$give"
}

as_root() {
  check_powers
  check_tun
  chown weir /dev/net/tun $run /var/lib/openvswitch /var/log/openvswitch
  powers=+net_admin,+net_raw
  exec setpriv --reuid weir --regid weir --clear-groups --inh-caps $powers --ambient-caps $powers "$0" serve
}

wait_for() { # wait_for WHAT COMMAND...
  what=$1 && shift
  for _ in $(seq 300); do
    "$@" >/dev/null 2>&1 && return
    sleep 0.1
  done
  fail "$what does not come up within 30 s" "what it says is above, and in /var/log/openvswitch"
}

start_ovs() {
  umask 077
  rm -f $run/*.ctl $run/*.pid $run/*.mgmt $run/*.snoop $run/db.sock # of those who were killed
  [ -s $conf ] || ovsdb-tool create $conf /usr/share/openvswitch/vswitch.ovsschema
  log="--no-chdir --pidfile -vconsole:warn"
  # shellcheck disable=SC2086
  ovsdb-server $conf --remote=punix:$run/db.sock $log &
  db=$!
  wait_for ovsdb-server ovs-vsctl --no-wait init
  [ -z "${TLS:-}" ] || ovs-vsctl --no-wait set-ssl "$TLS/key.pem" "$TLS/cert.pem" "$TLS/ca.pem"
  # shellcheck disable=SC2086
  ovs-vswitchd unix:$run/db.sock --disable-system $log &
  switch=$!
  trap 'kill $switch $db 2>/dev/null; wait; exit 0' TERM INT
  for bridge in $BRIDGES; do
    wait_for "bridge $bridge" ovs-vsctl --timeout=5 --may-exist add-br "$bridge" -- set bridge "$bridge" datapath_type=netdev fail_mode=secure
  done
}

# reach prints "ADDRESS DEVICE" of a container's address on a network that we share.
reach() {
  ip=$(getent ahostsv4 "$1" | sed -n '1s/ .*//p')
  [ -n "$ip" ] && echo "$ip $(ip -o route get "$ip" | sed -n 's/.* dev \([^ ]*\).*/\1/p')"
}

# join makes a port, again when its peer has another address than before.
join() { # join BRIDGE PORT VNI PEER
  set -- "$@" $(reach "$4" || :)
  [ $# = 6 ] || return 0 # the peer is not there
  ip -d link show "$2" 2>/dev/null | grep -q "remote $5 " && return
  ovs-vsctl --if-exists del-port "$1" "$2"
  ip link del "$2" 2>/dev/null || :
  ip link add "$2" mtu 1400 type vxlan id "$3" remote "$5" dev "$6" dstport $vxlan
  ip link set "$2" up
  ovs-vsctl add-port "$1" "$2" -- set interface "$2" external_ids:iface-id="$2"
}

serve() {
  start_ovs
  while kill -0 $db 2>/dev/null && kill -0 $switch 2>/dev/null; do
    echo "${PORTS:-}" | while read -r port; do
      # shellcheck disable=SC2086
      [ -z "$port" ] || join $port || echo "ovs.sh: port $port: tried again in a second" >&2
    done
    sleep 1 &
    wait $! || :
  done
  echo "ovs.sh: a daemon of Open vSwitch has ended" >&2
  kill $switch $db 2>/dev/null || :
  exit 1
}

healthy() {
  ovs-appctl -t ovs-vswitchd version >/dev/null
  for bridge in $BRIDGES; do
    [ -S "$run/$bridge.mgmt" ] || { echo "bridge $bridge is not there"; exit 1; }
  done
}

case ${1:-} in
healthy) healthy ;;
serve) serve ;;
*) as_root ;;
esac
