#!/bin/bash
# Runs a command in a virtual machine with Debian's own kernel and its Open vSwitch datapath.
#
#   test/vm/run.sh DIR COMMAND [ARG...]
#
# DIR is where the command starts, and all that it can write; the rest of the host can be
# read, but for /tmp, /run, /root, /var/log and /dev/shm, which are empty. The exit status is
# the command's; 124 after VM_TIMEOUT seconds (900), 125 if the machine did not get so far.
# VM_CPUS says how many processors it has (one), VM_MEM how much memory (1G). Without KVM
# it runs too, twenty times slower.
set -u
here=$(cd "$(dirname "$0")" && pwd)
[ $# -ge 2 ] || { echo "usage: run.sh DIR COMMAND [ARG...]" >&2; exit 125; }
share=$(cd "$1" && pwd -P) || exit 125
shift
made=$("$here/build.sh") || exit 125
ctl=$(mktemp -d) || exit 125
printf '%q ' "$@" >"$ctl/command"

# KVM that is there and does nothing (some machines inside machines have such) is found out once.
useless=${XDG_CACHE_HOME:-$HOME/.cache}/weir/vm/no-kvm-$(cat /proc/sys/kernel/random/boot_id)
kvm=1
[ -r /dev/kvm ] && [ -w /dev/kvm ] && [ "$(uname -m)" = x86_64 ] && [ ! -e "$useless" ] || kvm=

folder() { # TAG PATH OPTIONS
  echo -fsdev "local,id=$1,path=$2,security_model=$3" -device "virtio-9p-pci,fsdev=$1,mount_tag=$1"
}

start() {
  local accel=(-accel tcg,thread=multi)
  [ -z "$kvm" ] || accel=(-accel kvm -cpu "host,arch-capabilities=off") # which a machine inside a machine may not set
  # It dies with this script, even if that is killed.
  # shellcheck disable=SC2046
  setpriv --pdeathsig KILL qemu-system-x86_64 "${accel[@]}" -M pc -nodefaults -no-user-config -display none -no-reboot \
    -smp "${VM_CPUS:-1}" -m "${VM_MEM:-1G}" -kernel "$made/vmlinuz" -initrd "$made/initrd" \
    -append "console=ttyS0 quiet loglevel=3 panic=-1 mitigations=off weir_init=$here/init weir_share=$share" \
    $(folder host / none,readonly=on,multidevs=remap) $(folder ctl "$ctl" none) $(folder share "$share" none) \
    $(folder kernel "$made" none,readonly=on) \
    -device virtio-serial-pci -chardev stdio,id=out,signal=off -device virtconsole,chardev=out \
    -chardev "file,id=log,path=$ctl/console" -serial chardev:log </dev/null 2>"$ctl/stderr" &
  pid=$!
}
end() { kill -KILL "$pid" 2>/dev/null; wait "$pid" 2>/dev/null; rm -rf "$ctl"; }
trap 'end; exit 130' INT TERM HUP

start
began=$SECONDS
while :; do
  if [ -n "$kvm" ] && [ ! -e "$ctl/up" ] && { [ $((SECONDS - began)) -ge 30 ] || ! kill -0 "$pid" 2>/dev/null; }; then
    echo "run.sh: KVM does not work here: without it" >&2
    touch "$useless"
    kill -KILL "$pid" 2>/dev/null
    wait "$pid" 2>/dev/null
    kvm=
    start
  fi
  kill -0 "$pid" 2>/dev/null || break
  [ $((SECONDS - began)) -lt "${VM_TIMEOUT:-900}" ] || { echo "run.sh: no end after ${VM_TIMEOUT:-900} s" >&2; end; exit 124; }
  sleep 0.1
done
wait "$pid" 2>/dev/null
status=$(cat "$ctl/status" 2>/dev/null) || { cat "$ctl/stderr" "$ctl/console" >&2; echo "run.sh: the machine died" >&2; status=125; }
[ "$status" != 125 ] || cat "$ctl/console" >&2
end
exit "$status"
