#!/bin/bash
# Makes what the virtual machine starts from: Debian's own kernel with its modules, and a first file system that
# finds the host's files.
#
#   test/vm/build.sh         prints the folder with vmlinuz, initrd and lib/modules; makes it only if it is not there
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/weir/vm
log=$cache/build.log
mkdir -p "$cache"
exec 3>&1 1>&2 # what is said below is for people
die() { echo "build.sh: $*"; exit 1; }
package() { apt-cache depends linux-image-amd64 2>>"$log" | sed -n 's/^ *Depends: \(linux-image-[0-9].*-amd64\)$/\1/p' | head -n 1; }

exec 9>"$cache/lock"
flock 9
image=$(package)
[ -n "$image" ] || { apt-get -q -y update >"$log" 2>&1; image=$(package); }
[ -n "$image" ] || die "linux-image-amd64 is not among the packages, see $log"
made=$cache/$image-$(sha256sum "$here/build.sh" "$here/initrd-init" | sha256sum | cut -c1-16)
[ -e "$made/initrd" ] && { echo "$made" >&3; exit 0; }

echo "fetching $image"
work=$cache/new
trap 'rm -rf "$work"' EXIT
rm -rf "$cache"/linux-image-* "$work"
mkdir -p "$work/tree" "$work/root/bin" "$work/root/modules"
(cd "$work" && { apt-get -q -y -o APT::Sandbox::User=root download "$image" ||
  { apt-get -q update && apt-get -q -y -o APT::Sandbox::User=root download "$image"; }; }) >"$log" 2>&1 || die "cannot download $image, see $log"
dpkg-deb --fsys-tarfile "$work/$image"_*.deb | tar -x -C "$work/tree" ./boot ./lib/modules
mv "$work/tree/boot"/vmlinuz-* "$work/tree/vmlinuz"
rm -rf "$work/tree/boot"
version=$(ls "$work/tree/lib/modules")
depmod -b "$work/tree" "$version" 2>>"$log" || die "depmod failed, see $log"

# The first file system has what it takes to read the host's files, in the order in which it is to be loaded.
modprobe -d "$work/tree" -S "$version" -a --show-depends virtio_pci 9pnet_virtio 9p virtio_console 2>>"$log" |
  sed -n 's/^insmod \([^ ]*\).*/\1/p' | awk '!seen[$0]++' >"$work/list"
[ -s "$work/list" ] || die "$image has no 9p, see $log"
n=10
while read -r module; do
  cp "$module" "$work/root/modules/$n-$(basename "$module")"
  n=$((n + 1))
done <"$work/list"
cp "$(command -v busybox)" "$work/root/bin/busybox"
install -m 755 "$here/initrd-init" "$work/root/init"
(cd "$work/root" && find . | busybox cpio -o -H newc 2>/dev/null | gzip -1) >"$work/tree/initrd"
mv "$work/tree" "$made"
echo "$made" >&3
