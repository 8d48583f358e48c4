#!/bin/bash
# Runs the traffic tests on the kernel datapath: the same test binary, in a guest.
#
#   WEIR_BIN=... test/uml/integration.sh [TEST-PATTERN]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
"$here/build.sh" >/dev/null
dir=${XDG_CACHE_HOME:-$HOME/.cache}/weir/guest
mkdir -p "$dir"
cp "$WEIR_BIN" "$dir/weir"
(cd "$here/../.." && go test -c -o "$dir/traffic.test" ./test)
"$here/run.sh" "$dir" env CI="${CI:-}" WEIR_INTEGRATION=1 WEIR_DATAPATH=system WEIR_BIN="$dir/weir" \
  ./traffic.test -test.timeout 14m -test.v ${1:+-test.run "$1"}
