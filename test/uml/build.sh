#!/bin/bash
# Builds a User-Mode Linux kernel with the Open vSwitch datapath, connection tracking and
# NAT inside: Linux as a program, which needs neither KVM nor a module of the host.
#
#   test/uml/build.sh        prints the path of the kernel; builds it only if it is not there
#
# Three minutes on four cores. Debian 12's kernel source, six small patches, um.config.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/weir/uml
mkdir -p "$cache"
key=$(cat "$here/um.config" "$here/build.sh" | sha256sum | cut -c1-16)
kernel=$cache/linux-$key
[ -x "$kernel" ] && { echo "$kernel"; exit 0; }

exec 3>&1 1>&2 9>"$cache/lock" # what is said below is for people
flock 9                        # somebody else may be building it
[ -x "$kernel" ] && { echo "$kernel" >&3; exit 0; }
tree=$cache/linux-source-6.1
log=$cache/build.log
die() { echo "build.sh: $*"; exit 1; }
trap 'rm -rf "$tree" "$cache"/linux-source-6.1_*.deb' EXIT
rm -rf "$tree"

echo "fetching the source of Linux 6.1"
(cd "$cache" && rm -f linux-source-6.1_*.deb &&
  { apt-get -q -y -o APT::Sandbox::User=root download linux-source-6.1 ||
    { apt-get -q update && apt-get -q -y -o APT::Sandbox::User=root download linux-source-6.1; }; }) >"$log" 2>&1 ||
  die "cannot download linux-source-6.1, see $log"
dpkg-deb --fsys-tarfile "$cache"/linux-source-6.1_*.deb | tar -xO ./usr/src/linux-source-6.1.tar.xz | tar -xJ -C "$cache"

# replace FILE OLD NEW: the text OLD is there, and becomes NEW.
replace() {
  grep -qF -- "$2" "$tree/$1" || die "$1 has no '$2': look at the patches again"
  OLD=$2 NEW=$3 perl -pi -e 's/\Q$ENV{OLD}\E/$ENV{NEW}/g' "$tree/$1"
}
# A task's extended registers (XSAVE) need up to 11,008 bytes where there is AMX; with the
# room there is, init is killed.
replace arch/x86/um/user-offsets.c 'DEFINE_LONGS(HOST_FP_SIZE, 2696);' 'DEFINE_LONGS(HOST_FP_SIZE, 12288);'
# Open vSwitch counts the processors at most once in ten seconds, and takes the start of
# the clock for its last count: let the clock start later, or it starts no handler threads.
replace kernel/time/timekeeping.c '*boot_offset = ns_to_timespec64(local_clock());' '*boot_offset = (struct timespec64){ .tv_sec = 60 };'
# The guest's processes are traced processes of the host: they must not outlive the tracer.
for cast in '(void *) ' '(void *)'; do
  replace arch/um/os-Linux/skas/process.c "${cast}PTRACE_O_TRACESYSGOOD)" '(void *)(PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL))'
done
# The frame of a signal has room for the AVX registers, and not for the AVX-512 ones, which
# a handler then changes under the code that it interrupts.
replace arch/x86/um/signal.c $'\tstruct _xstate fpstate;' $'\tunion { struct _xstate fpstate; char room[2696]; };'
replace arch/x86/um/signal.c 'sizeof(struct _xstate))' '2696)'
# A page that a process of the guest touches first costs four switches of the host's, whatever it is: a test is mostly that.
# Its neighbours in the same 64 KiB that are known by then are mapped with it (generic code does know those of a file
# ahead), and of memory that is written to those that follow are made ready.
replace arch/um/kernel/trap.c $'\tflush_tlb_page(vma, address);' '
	{
		unsigned long from = max(vma->vm_start, address & ~0xffffUL), to = min(vma->vm_end, (address | 0xffffUL) + 1);
		unsigned long next = address & PAGE_MASK;

		while (is_write && vma_is_anonymous(vma) && (next += PAGE_SIZE) < to && pte_none(*++pte))
			if (handle_mm_fault(vma, next, FAULT_FLAG_WRITE, NULL) & VM_FAULT_ERROR)
				break;
		flush_tlb_range(vma, from, to);
	}'
# The extended registers are read before a fault is looked at, and written after: no second time in between.
replace arch/um/os-Linux/skas/process.c 'get_fp_registers(pid, aux_fp_regs)' 0
replace arch/um/os-Linux/skas/process.c 'put_fp_registers(pid, aux_fp_regs)' 0

echo "compiling (three minutes on four cores)"
make -C "$tree" ARCH=um KCONFIG_ALLCONFIG="$here/um.config" allnoconfig >"$log" 2>&1 || die "configuration failed, see $log"
for option in OPENVSWITCH NF_CONNTRACK NF_NAT NETFILTER_CONNCOUNT NF_CT_NETLINK HOSTFS; do
  grep -qx "CONFIG_$option=y" "$tree/.config" || die "CONFIG_$option was not taken, see $log"
done
make -C "$tree" ARCH=um -j"$(nproc)" linux >>"$log" 2>&1 || { tail -n 20 "$log"; die "compilation failed, see $log"; }
find "$cache" -name 'linux-????????????????' -mtime +14 -delete # of other versions, which other worktrees may still use
strip -o "$kernel.new" "$tree/linux"
mv "$kernel.new" "$kernel"
echo "$kernel" >&3
