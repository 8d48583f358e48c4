#!/bin/bash
# Runs a command in a guest with the Linux kernel's datapath.
#
#   test/uml/run.sh DIR COMMAND [ARG...]
#
# DIR is where the command starts, and all that it can write; the rest of the host can be
# read, but for /tmp, /run, /root, /var/log and /dev/shm, which are empty. The exit status is
# the command's; 124 after UML_TIMEOUT seconds (900), 125 if the guest did not get so far.
# UML_CPU is the processor that it stays on: its kernel and its processes wait for one another
# all the time, and half of the work is to wake one on another processor. Empty: any, slowly.
set -u
here=$(cd "$(dirname "$0")" && pwd)
[ $# -ge 2 ] || { echo "usage: run.sh DIR COMMAND [ARG...]" >&2; exit 125; }
share=$(cd "$1" && pwd -P) || exit 125
shift
kernel=$("$here/build.sh") || exit 125
ctl=$(mktemp -d) || exit 125
printf '%q ' "$@" >"$ctl/command"

# The kernel leads a process group of its own, by which all of it can be ended. It dies with
# this script, even if that is killed.
stay=()
[ -z "${UML_CPU:-}" ] || stay=(taskset -c "$UML_CPU")
env -i PATH="$PATH" HOME="$ctl" TMPDIR=/dev/shm "${stay[@]}" setpriv --pdeathsig KILL \
  "$kernel" mem="${UML_MEM:-1G}" uml_dir="$ctl/" umid=guest quiet loglevel=3 \
  root=/dev/root rootfstype=hostfs rootflags=/ ro init="$here/init" con=null con0=null,fd:1 \
  share="$share" ctl="$ctl" </dev/null 2>"$ctl/stderr" &
pid=$!
end() { kill -KILL -- "-$pid" "$pid" 2>/dev/null; wait "$pid" 2>/dev/null; rm -rf "$ctl"; }
trap 'end; exit 130' INT TERM HUP

deadline=$((SECONDS + ${UML_TIMEOUT:-900}))
while kill -0 "$pid" 2>/dev/null; do
  [ $SECONDS -lt $deadline ] || { echo "run.sh: no end after ${UML_TIMEOUT:-900} s" >&2; end; exit 124; }
  sleep 0.1
done
wait "$pid" 2>/dev/null
status=$(cat "$ctl/status" 2>/dev/null) || { cat "$ctl/stderr" >&2; echo "run.sh: the guest died" >&2; status=125; }
end
exit "$status"
