#!/bin/bash
# Runs the traffic tests on the userspace datapath, shared out: as many at a time as there are processors here, four at most.
# They wait for most of their time. Each test has a switch, a database and namespaces of its own.
#
#   WEIR_BIN=... test/integration.sh [TEST-PATTERN]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
dir=$(mktemp -d)
workers=()
trap 'kill "${workers[@]}" 2>/dev/null || :; wait || :; rm -rf "$dir"' EXIT
# Those that take longest begin first: the last to end is then a short one.
first=(TestFragmentsToForwardedPorts TestNATOutlivesItsDaemon TestAnExhaustedSNATIsSeen TestRestart TestASlowStartIsSeen TestWeightsFollowWhatIsBegun)

mkdir "$dir/claimed" "$dir/output" "$dir/passed"
(cd "$here" && go test -c -o "$dir/traffic.test" .)
cp "$here/worker.sh" "$dir"
"$dir/traffic.test" -test.list "${1:-.}" >"$dir/wanted"
[ -s "$dir/wanted" ] || { echo "integration.sh: no test is called ${1:-.}" >&2; exit 1; }
{
  printf '%s\n' "${first[@]}" | grep -xFf "$dir/wanted" || :
  printf '%s\n' "${first[@]}" | grep -vxFf - "$dir/wanted" || :
} >"$dir/queue"

count=$(nproc)
[ "$count" -le 4 ] || count=4
for ((i = 0; i < count; i++)); do
  (cd "$dir" && UNDER="setpriv --pdeathsig TERM" WEIR_INTEGRATION=1 exec setpriv --pdeathsig TERM ./worker.sh) &
  workers+=($!)
done

failed=0
for w in "${workers[@]}"; do
  wait "$w" || failed=1
done
cat "$dir"/output/* | tee "$dir/log"
[ $# -gt 0 ] || (cd "$here/.." && go run ./test/scenarios "userspace=$dir/log") || failed=1
"$here/verdict.sh" "$dir" || failed=1
exit $failed
