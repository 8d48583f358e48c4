#!/bin/bash
# Runs the traffic tests on the kernel datapath: the same test binary, in guests. A guest has
# one processor, so the tests are shared out: a guest for each processor here, four at most.
# Without a pattern it then runs the tests of ./conntrack, which make tables of the guest's kernel, in one more.
#
#   WEIR_BIN=... [WEIR_OVS=PREFIX] test/uml/integration.sh [TEST-PATTERN]
#
# WEIR_GUEST=vm runs them in virtual machines with Debian's own kernel (test/vm) instead. WEIR_OVS is what an Open vSwitch was
# installed into, which is to be used instead of the host's.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
pattern=${1:-.}
guest=$here/../${WEIR_GUEST:-uml}
"$guest/build.sh" >/dev/null
dir=$(mktemp -d)
guests=()
trap 'kill "${guests[@]}" 2>/dev/null || :; wait || :; rm -rf "$dir"' EXIT
cp "$WEIR_BIN" "$dir/weir"
(cd "$here/../.." && go test -c -o "$dir/traffic.test" ./test)
path=$PATH
if [ "${WEIR_OVS:-}" ]; then # a guest has its own /tmp, and may not see the prefix: it sees $dir
  mkdir -p "$dir/ovs/share" && cp -r "$WEIR_OVS"/{bin,sbin} "$dir/ovs" && cp -r "$WEIR_OVS/share/openvswitch" "$dir/ovs/share"
  path=$dir/ovs/sbin:$dir/ovs/bin:$PATH
fi
mapfile -t tests < <("$dir/traffic.test" -test.list "${pattern%%/*}")
[ ${#tests[@]} -gt 0 ] || { echo "integration.sh: no test is called $pattern" >&2; exit 1; }

export UML_TIMEOUT=${UML_TIMEOUT:-1500} VM_TIMEOUT=${VM_TIMEOUT:-1500} # as -test.timeout below

count=$(nproc)
[ "$count" -le 4 ] || count=4
[ "$count" -le ${#tests[@]} ] || count=${#tests[@]}
for ((i = 0; i < count; i++)); do
  share=
  for ((k = i; k < ${#tests[@]}; k += count)); do share+="|${tests[k]}"; done
  run="^(${share#|})\$"
  case $pattern in */*) run+="/${pattern#*/}" ;; esac
  setpriv --pdeathsig TERM "$guest/run.sh" "$dir" \
    env PATH="$path" CI="${CI:-}" WEIR_LONG="${WEIR_LONG:-}" WEIR_STORM="${WEIR_STORM:-}" \
    WEIR_INTEGRATION=1 WEIR_DATAPATH=system WEIR_BIN="$dir/weir" \
    ./traffic.test -test.timeout 25m -test.v -test.run "$run" >"$dir/output.$i" 2>&1 &
  guests+=($!)
done

failed=0
for ((i = 0; i < count; i++)); do
  wait "${guests[i]}" || failed=1
  cat "$dir/output.$i"
done
logs=("$dir"/output.*)
if [ "$pattern" = . ]; then
  mkdir "$dir/conntrack"
  (cd "$here/../.." && go test -c -o "$dir/conntrack/conntrack.test" ./conntrack)
  cp -r "$here/../../conntrack/testdata" "$dir/conntrack/"
  # What is missing in the guest is missing there for good: a test that is skipped has failed.
  setpriv --pdeathsig TERM "$guest/run.sh" "$dir/conntrack" env CI=1 ./conntrack.test -test.timeout 10m -test.v >"$dir/conntrack.log" 2>&1 &
  guests+=($!)
  wait $! || failed=1
  cat "$dir/conntrack.log"
fi
[ "$pattern" != . ] || (cd "$here/../.." && go run ./test/scenarios "${logs[@]/#/kernel=}") || failed=1
exit $failed
