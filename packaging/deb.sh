#!/bin/bash
# Builds the Debian package of this checkout with debhelper, from what git has of it, changes included.
#
#   packaging/deb.sh DIR     puts weir_VERSION_ARCH.deb there, and prints its path
#
# The bytes depend on the files, the version and the Go that builds it: all times are that of the last commit.
set -euo pipefail
cd "$(dirname "$0")/.."
[ $# = 1 ] || { echo "deb.sh: where to? packaging/deb.sh DIR" >&2; exit 1; }
mkdir -p "$1"
out=$(cd "$1" && pwd)
export WEIR_VERSION SOURCE_DATE_EPOCH
WEIR_VERSION=$(scripts/version.sh)
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
export GOCACHE GOMODCACHE GOFLAGS=-mod=readonly LC_ALL=C.UTF-8 TZ=UTC
GOCACHE=$(go env GOCACHE)
GOMODCACHE=$(go env GOMODCACHE)

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tree=$work/weir
mkdir "$tree"
git ls-files -z --cached --others --exclude-standard | while IFS= read -r -d '' f; do [ -e "$f" ] && printf '%s\0' "$f"; done | xargs -0 cp --parents -t "$tree"
cp -r packaging/debian "$tree/debian"
cat >"$tree/debian/changelog" <<EOF
weir ($WEIR_VERSION) unstable; urgency=medium

  * Built from this version: CHANGELOG.md says what is new.

 -- The Weir authors <weir@localhost>  $(date -u -R -d "@$SOURCE_DATE_EPOCH")
EOF
umask 022
chmod -R u+rwX,go+rX,go-w "$tree"
(cd "$tree" && dpkg-buildpackage -b -us -uc -d) >"$work/log" 2>&1 || { tail -n 40 "$work/log" >&2; exit 1; }
deb=$(echo "$work"/weir_*.deb)
mv "$deb" "$out/"
echo "$out/${deb##*/}"
