#!/bin/bash
# What test.sh looks at, from within a system that has just been booted: a real systemd, a real Open vSwitch.
set -euo pipefail
cd /test
die() {
  echo "FAIL $*"
  journalctl --no-pager -n 40 -u weir || :
  weir status || :
  exit 1
}
trap 'echo "FAIL line $LINENO: $BASH_COMMAND"' ERR
ok() { echo " OK  $*"; }
# until_true SECONDS COMMAND...: the condition comes true in that time.
until_true() {
  local end=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $end ] || die "not in time: $*"
    read -r -t 0.1 <>/dev/zero -N 0 || :
  done
}
programmed() { [ "$(weir status -o json | python3 -c 'import json,sys; b=json.load(sys.stdin)["bridges"]; print(len(b) > 0 and all(x["programmed"] for x in b))')" = True ]; }
pid() { systemctl show -p MainPID --value weir; }
status_of() { sed -n "s/^$1:[[:space:]]*//p" "/proc/$(pid)/status"; }
files() { find / -xdev \( -path /proc -o -path /sys -o -path /test -o -path /var/log/journal -o -path /tmp -o -path /var/cache/man \) -prune -o -iname '*weir*' -print | sort; }

before=$(files)
apt_quiet() { DEBIAN_FRONTEND=noninteractive dpkg "$@" >>/test/dpkg.log 2>&1 || { cat /test/dpkg.log; die "dpkg $*"; }; }

# Two hosts on a bridge of the userspace datapath.
until_true 30 systemctl is-active openvswitch-switch
ovs-vsctl add-br br-test -- set bridge br-test datapath_type=netdev
n=10
for h in a b; do
  ip netns add $h
  ip link add name p-$h type veth peer name e0 netns $h
  ip link set p-$h up
  ip -n $h link set e0 address 02:00:00:00:00:0$h
  ip -n $h addr add 10.1.0.$n/24 dev e0
  ip -n $h link set e0 up
  # The connection tracker of the userspace datapath takes checksums for wrong that a device would have filled in.
  python3 - $h <<'PY'
import ctypes, fcntl, os, socket, struct, sys
fd = os.open("/run/netns/" + sys.argv[1], os.O_RDONLY)
ctypes.CDLL(None).setns(fd, 0)
s = socket.socket()
value = struct.pack("II", 0x17, 0)  # ETHTOOL_STXCSUM: off
buf = ctypes.create_string_buffer(value)
fcntl.ioctl(s, 0x8946, struct.pack("16sP", b"e0", ctypes.addressof(buf)) + bytes(16))
PY
  ovs-vsctl add-port br-test p-$h -- set interface p-$h external_ids:iface-id=$h
  n=$((n + 1))
done

apt_quiet -i weir_0~test1_amd64.deb
[ "$(weir version)" = "weir 0~test1" ] || die "$(weir version)"
[ "$(systemctl is-enabled weir)" = enabled ] || die "not enabled"
! systemctl -q is-failed weir || die "a fresh installation has failed"
! systemctl -q is-active weir || die "it serves, and there is no model"
ok "installed: without a model the unit is left out, and has not failed"

mandoc -Tlint -Wwarning /usr/share/man/man1/weir.1.gz || die "mandoc warns of weir(1)"
[ "$(man -w weir)" = /usr/share/man/man1/weir.1.gz ] || die "man finds $(man -w weir)"
verified=$(systemd-analyze verify weir.service 2>&1) && [ -z "$verified" ] || die "systemd-analyze verify: $verified"

cp model.yaml /etc/weir/blue.yaml
systemctl start weir || die "does not start"
until_true 30 programmed
[ "$(ps -o user= -p "$(pid)")" = weir ] || die "runs as $(ps -o user= -p "$(pid)")"
[ "$(status_of CapEff)" = 0000000000001002 ] && [ "$(status_of CapBnd)" = 0000000000001002 ] || die "capabilities $(status_of CapEff)"
[ "$(status_of NoNewPrivs)" = 1 ] && [ "$(status_of Seccomp)" = 2 ] || die "no seccomp"
seen=$(ls "/proc/$(pid)/root/etc" | tr '\n' ' ')
[ "$seen" = "localtime weir " ] || [ "$seen" = "weir " ] || die "it sees of /etc: $seen"
for hidden in /etc/shadow /root /home/x /usr/bin/bash /var/log; do
  ! nsenter -t "$(pid)" -m /usr/bin/weir validate -f $hidden 2>&1 | grep -q 'permission' || die "$hidden is there"
  [ ! -e "/proc/$(pid)/root$hidden" ] || [ -z "$(ls -A "/proc/$(pid)/root$hidden")" ] || die "$hidden is there"
done
ok "it runs as weir, with CAP_DAC_OVERRIDE and CAP_NET_ADMIN, and sees nothing of the host but the model and Open vSwitch's sockets"
rights() { stat -c '%a %U:%G' "$1"; }
[ "$(rights /var/lib/weir)" = "700 weir:weir" ] && [ "$(rights /var/lib/weir/numbers.json)" = "600 weir:weir" ] || die "state: $(rights /var/lib/weir), $(rights /var/lib/weir/numbers.json)"
[ "$(rights /run/weir/weir.sock)" = "600 weir:weir" ] || die "control socket: $(rights /run/weir/weir.sock)"
systemd-analyze security --no-pager --threshold=18 weir >security || die "systemd-analyze security: $(tail -n 1 security)"
echo "     systemd-analyze security: $(tail -n 1 security)"
! journalctl -u weir -o cat | grep -E '(time=|20[0-9]{2}-[0-9]{2}-[0-9]{2}T)' || die "the journal has times twice"
journalctl -u weir -o cat | grep -q '^level=info msg=connected' || die "the journal does not have what is logged"
ok "the state is the daemon's alone; the journal has each time once"

cat >talk.py <<'PY'
import socket, sys, os, ctypes
def enter(ns):
    if ctypes.CDLL(None).setns(os.open("/run/netns/" + ns, os.O_RDONLY), 0): raise OSError("setns")
enter("b")
servers = []
for port in (80, 81):
    s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind(("10.1.0.11", port)); s.listen(); servers.append(s)
enter("a")
c = socket.create_connection(("10.1.0.11", 80), 10)
peer, _ = servers[0].accept()
try:
    socket.create_connection(("10.1.0.11", 81), 2)
    print("denied passed", flush=True)
except OSError:
    print("ready", flush=True)
for line in sys.stdin:
    c.settimeout(10); peer.settimeout(10)
    c.sendall(line.encode()); peer.sendall(peer.recv(100)); print("back " + c.recv(100).decode().strip(), flush=True)
PY
coproc TALK { exec python3 -u talk.py 2>&1; }
read -r -t 30 said <&"${TALK[0]}" || die "no connection"
[ "$said" = ready ] || die "traffic: $said"
say() { echo "$1" >&"${TALK[1]}"; read -r -t 15 said <&"${TALK[0]}" && [ "$said" = "back $1" ] || die "the connection has stopped: $1: ${said:-}"; }
say one
conns=$(weir connections dport=80)
grep -q 'policy/web/http' <<<"$conns" || die "connections: $conns"
x=$(weir explain tcp a b:81)
grep -q DENIED <<<"$x" || die "explain: $x"
x=$(weir explain tcp a b:80)
grep -q 'blue/policy/web/http' <<<"$x" || die "explain: $x"
bash=/usr/share/bash-completion/bash_completion
offers() { # WORD TYPED: each shell offers the word
  ./complete.py "$1" ". $bash" "$2" bash --norc --noprofile -i || die "bash"
  ./complete.py "$1" "autoload -Uz compinit && compinit -u -D" "$2" zsh -f -i || die "zsh"
  local line=${2//$'\t'/}
  fish -c "complete -C '$line'" | cut -f1 | grep -qF -- "${1}" || die "fish: $(fish -c "complete -C '$line'")"
}
offers connections $'weir connec\t'
offers blue $'weir connections -t \t'
offers br-test $'weir flows \t'
offers dport= $'weir connections dp\t'
ok "bash, zsh and fish complete commands, and what the daemon has"

ok "programmed: port 80 is open and 81 is not; weir connections and weir explain name blue/policy/web/http"

sed 's/ports: \[80\]/ports: [80, 82]/' model.yaml >/etc/weir/blue.yaml.new && mv /etc/weir/blue.yaml.new /etc/weir/blue.yaml
systemctl reload weir || die "does not reload"
allowed() { weir explain tcp a b:82 | grep -q ALLOWED; }
until_true 20 allowed
say two

# What is killed comes again, what is stopped does not, and neither changes anything.
flows() { ovs-ofctl -O OpenFlow13 --no-stats dump-flows br-test | sed 's/^ *//' | sort; }
sent() { weir status -o json | python3 -c 'import json,sys; print(json.load(sys.stdin)["bridges"][0]["flowModsSent"])'; }
had=$(flows) first=$(pid)
kill -9 "$first"
say killed
another() { [ "$(pid)" != 0 ] && [ "$(pid)" != "$first" ]; }
until_true 20 another
until_true 30 programmed
[ "$(systemctl show -p NRestarts --value weir)" = 1 ] && [ "$(sent)" = 0 ] && [ "$(flows)" = "$had" ] || die "killed: $(sent) flow-mods were sent"
systemctl stop weir
! systemctl -q is-failed weir || die "stopped, and has failed"
say stopped
[ "$(flows)" = "$had" ] || die "stopped: other flows"
systemctl start weir
until_true 30 programmed
[ "$(sent)" = 0 ] && [ "$(flows)" = "$had" ] || die "started: $(sent) flow-mods were sent"
ok "killed, it comes again; stopped, it does not; the flows are the same all the while, and the connection goes on"

numbers=$(cat /var/lib/weir/numbers.json)
first=$(pid)
apt_quiet -i weir_0~test2_amd64.deb
[ "$(weir version)" = "weir 0~test2" ] || die "$(weir version)"
[ "$(pid)" != "$first" ] || die "not started anew"
until_true 30 programmed
[ "$(cat /var/lib/weir/numbers.json)" = "$numbers" ] || die "other numbers"
[ -e /etc/weir/blue.yaml ] || die "the model is gone"
[ "$(sent)" = 0 ] && [ "$(flows)" = "$had" ] || die "$(sent) flow-mods were sent after the upgrade"
say three
ok "upgraded: the numbers are the same, no flow was sent, and the connection goes on"

systemctl restart openvswitch-switch
until_true 60 programmed
ok "Open vSwitch started anew: programmed again"

# Without its capabilities it says what is missing, and what to do.
mkdir -p /run/systemd/system/weir.service.d
printf '[Service]\nCapabilityBoundingSet=\nAmbientCapabilities=\n' >/run/systemd/system/weir.service.d/none.conf
systemctl daemon-reload
systemctl restart weir || die "does not start without capabilities"
told() { weir status | grep -q 'db.sock.*CAP_DAC_OVERRIDE'; }
until_true 20 told
weir status | sed 's/^/     /'
rm /run/systemd/system/weir.service.d/none.conf
systemctl daemon-reload
systemctl restart weir
until_true 30 programmed
ok "without capabilities weir status says which, and with them all is well again"

apt_quiet -r weir
! pgrep -x weir || die "removed, and it runs"
say four
[ -e /var/lib/weir/numbers.json ] || die "removed, and the state is gone"
apt_quiet -P weir
after=$(files)
[ "$before" = "$after" ] || die "purged, and there is still: $(comm -13 <(echo "$before") <(echo "$after"))"
! getent passwd weir && ! getent group weir || die "the user is still there"
ok "removed: the state stays, and the connection goes on; purged: nothing is left"
: >/test/passed
