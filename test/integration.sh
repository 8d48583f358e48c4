#!/bin/bash
# Runs the traffic tests on the userspace datapath, shared out: a process for every two processors here, two at most.
# Each test has a switch, a database and namespaces of its own.
#
#   WEIR_BIN=... test/integration.sh [TEST-PATTERN]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
dir=$(mktemp -d)
shares=()
trap 'kill "${shares[@]}" 2>/dev/null || :; wait || :; rm -rf "$dir"' EXIT
cd "$here"
go test -c -o "$dir/traffic.test" .
mapfile -t tests < <("$dir/traffic.test" -test.list "${1:-.}")
[ ${#tests[@]} -gt 0 ] || { echo "integration.sh: no test is called ${1:-.}" >&2; exit 1; }

count=$(($(nproc) < 4 ? 1 : 2))
for ((i = 0; i < count; i++)); do
  share=
  for ((k = i; k < ${#tests[@]}; k += count)); do share+="|${tests[k]}"; done
  WEIR_INTEGRATION=1 setpriv --pdeathsig TERM "$dir/traffic.test" -test.timeout 45m -test.v -test.run "^(${share#|})\$" >"$dir/output.$i" 2>&1 &
  shares+=($!)
done

failed=0
for ((i = 0; i < count; i++)); do
  wait "${shares[i]}" || failed=1
  cat "$dir/output.$i"
done
logs=("$dir"/output.*)
[ $# -gt 0 ] || go run ./scenarios "${logs[@]/#/userspace=}" || failed=1
exit $failed
