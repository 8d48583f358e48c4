#!/bin/bash
# Runs the traffic tests on the kernel datapath: the same test binary, in guests. A guest has one processor, and stays
# on one of those here: four guests at most. Each takes the next test from a queue when it is done with one (test/worker.sh).
# Without a pattern the queue ends with the tests of ./conntrack, which make tables of the guest's kernel.
#
#   WEIR_BIN=... [WEIR_OVS=PREFIX] test/uml/integration.sh [TEST-PATTERN]
#
# WEIR_GUEST=vm runs them in virtual machines with Debian's own kernel (test/vm) instead. WEIR_OVS is what an Open vSwitch was
# installed into, which is to be used instead of the host's.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
pattern=${1:-.}
guest=$here/../${WEIR_GUEST:-uml}
# Those that take longest begin first: the last to end is then a short one.
first=(TestWhatIsExplainedIsWhatHappens TestLoadIsSpreadAsWeightsSay TestWeightsChangeUnderLoad TestPoliciesReplaced TestEveryFormatSaysTheSame
  TestAnEpochComesAgainOnlyWhenNoConnectionCarriesIt TestFragmentsToForwardedPorts TestStatesOfConnections TestPoolsThatAreShared)

"$guest/build.sh" >/dev/null
dir=$(mktemp -d)
guests=()
trap 'kill "${guests[@]}" 2>/dev/null || :; wait || :; rm -rf "$dir"' EXIT
mkdir "$dir/claimed" "$dir/output" "$dir/passed"
cp "$WEIR_BIN" "$dir/weir"
cp "$here/../worker.sh" "$dir"
(cd "$here/../.." && go test -c -o "$dir/traffic.test" ./test)
path=$PATH
if [ "${WEIR_OVS:-}" ]; then # a guest has its own /tmp, and may not see the prefix: it sees $dir
  mkdir -p "$dir/ovs/share" && cp -r "$WEIR_OVS"/{bin,sbin} "$dir/ovs" && cp -r "$WEIR_OVS/share/openvswitch" "$dir/ovs/share"
  path=$dir/ovs/sbin:$dir/ovs/bin:$PATH
fi
"$dir/traffic.test" -test.list . >"$dir/all"
for t in "${first[@]}"; do
  grep -qx "$t" "$dir/all" || { echo "integration.sh: $t, which should begin first, is no test" >&2; exit 1; }
done
"$dir/traffic.test" -test.list "${pattern%%/*}" >"$dir/wanted"
[ -s "$dir/wanted" ] || { echo "integration.sh: no test is called $pattern" >&2; exit 1; }
{
  printf '%s\n' "${first[@]}" | grep -xFf "$dir/wanted" || :
  printf '%s\n' "${first[@]}" | grep -vxFf - "$dir/wanted" || :
} >"$dir/queue"
if [ "$pattern" = . ]; then
  mkdir "$dir/conntrack"
  (cd "$here/../.." && go test -c -o "$dir/conntrack/conntrack.test" ./conntrack)
  cp -r "$here/../../conntrack/testdata" "$dir/conntrack/"
  echo conntrack >>"$dir/queue"
fi
case $pattern in */*) echo "/${pattern#*/}" >"$dir/below" ;; esac
mapfile -t tests <"$dir/queue"

# The processors that there are for us, in any order: somebody else may do the same at the same time.
processors() {
  local range
  for range in $(taskset -pc $$ | sed 's/.*: //; s/,/ /g'); do seq "${range%-*}" "${range#*-}"; done | shuf
}
mapfile -t cpus < <(processors)

export UML_TIMEOUT=${UML_TIMEOUT:-3000} VM_TIMEOUT=${VM_TIMEOUT:-3000} # one test has ten minutes: test/worker.sh

count=${#cpus[@]}
[ "$count" -le 4 ] || count=4
[ "$count" -le ${#tests[@]} ] || count=${#tests[@]}
for ((i = 0; i < count; i++)); do
  UML_CPU=${cpus[i]} setpriv --pdeathsig TERM "$guest/run.sh" "$dir" \
    env PATH="$path" CI="${CI:-}" WEIR_LONG="${WEIR_LONG:-}" WEIR_STORM="${WEIR_STORM:-}" \
    WEIR_INTEGRATION=1 WEIR_DATAPATH=system WEIR_BIN="$dir/weir" \
    ./worker.sh 2>&1 &
  guests+=($!)
done

failed=0
for ((i = 0; i < count; i++)); do
  wait "${guests[i]}" || failed=1
done
cat "$dir"/output/* | tee "$dir/log"
[ "$pattern" != . ] || (cd "$here/../.." && go run ./test/scenarios "kernel=$dir/log") || failed=1
"$here/../verdict.sh" "$dir" || failed=1
exit $failed
