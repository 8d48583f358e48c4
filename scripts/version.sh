#!/bin/bash
# Prints the version of this checkout, as packages have it: that of the tag v1.2.3 if it stands there, and else
# one before all releases, by the time of the last commit: 0~git20261121234512.28134a5. WEIR_VERSION overrides it.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ "${WEIR_VERSION:-}" ]; then
  echo "$WEIR_VERSION"
elif tag=$(git describe --tags --exact-match --match 'v[0-9]*' 2>/dev/null); then
  echo "${tag#v}"
elif git rev-parse -q --verify HEAD >/dev/null 2>&1; then
  echo "0~git$(TZ=UTC git log -1 --date=format-local:%Y%m%d%H%M%S --format=%cd.%h --abbrev=7)"
else
  echo 0~unknown
fi
