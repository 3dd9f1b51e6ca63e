#!/bin/sh
# Makes out/busybox: the smallest root file system that has a shell. It holds one
# static busybox, links for its applets, and the few files every image has. For
# another ARCH than this machine's: out/ARCH/busybox, which takes Debian's apt-get.
set -eu
cd "$(dirname "$0")"
. ./need.sh
. ./wheel.sh

[ ! -e "$out/busybox/bin/busybox" ] || exit 0
mkdir -p "$out"
work=$(mktemp -d "$out/busybox.XXXXXX")
trap 'rm -rf "$work" "$work.deb"' EXIT
trap 'exit 130' INT TERM

# A static program runs in an empty directory; that is all that is asked of it.
is_static() { ! ldd "$1" >/dev/null 2>&1 || ldd "$1" 2>&1 | grep -qi 'statically\|not a dynamic\|not a valid dynamic'; }

find_busybox() {
	if [ "$arch" = "$machine" ]; then
		for candidate in /bin/busybox.static "$(command -v busybox 2>/dev/null || :)"; do
			[ -x "$candidate" ] && is_static "$candidate" && { cp "$candidate" "$1"; return; }
		done
	fi
	if command -v apt-get >/dev/null 2>&1; then
		unpack_package "$1"
	elif [ "$arch" = "$machine" ]; then
		need busybox.static=busybox-static
		cp /bin/busybox.static "$1"
	else
		die "a busybox for $arch takes apt-get, which this machine lacks"
	fi
}

# Debian's package is unpacked beside its system, not installed into it.
unpack_package() {
	mkdir -p "$work.deb/lists/partial" "$work.deb/cache/archives/partial"
	( cd "$work.deb" && download_package ) >"$work.deb/log" 2>&1 || {
		tail -n 5 "$work.deb/log" >&2
		die "apt-get download busybox-static failed; run: sudo apt-get update"
	}
	dpkg-deb -x "$work.deb"/busybox-static_*.deb "$work.deb/files"
	cp "$work.deb/files/usr/bin/busybox" "$1" 2>/dev/null || cp "$work.deb/files/bin/busybox" "$1"
}

download_package() {
	if [ "$arch" = "$machine" ]; then
		apt-get download -qq busybox-static && return
		[ "$(id -u)" = 0 ] && apt-get update -qq && apt-get download -qq busybox-static
	else
		# With lists of that architecture's packages that the system does not see.
		case $arch in aarch64) arch=arm64 ;; x86_64) arch=amd64 ;; esac
		set -- -qq -o "APT::Architecture=$arch" -o "APT::Architectures=$arch" -o "Dir::State::Lists=$PWD/lists" \
			-o Dir::State::Status=/dev/null -o "Dir::Cache=$PWD/cache"
		apt-get "$@" update && apt-get "$@" download busybox-static
	fi
}

# The other architecture's busybox cannot be asked: ours, of the same package, can.
applets() {
	if [ "$arch" = "$machine" ]; then "$work/bin/busybox" --list; else ls out/busybox/bin; fi
}
[ "$arch" = "$machine" ] || ARCH=$machine ./busybox.sh

umask 022
mkdir -p "$work/bin" "$work/etc" "$work/dev" "$work/proc" "$work/sys" "$work/root" "$work/tmp" \
	"$work/home" "$work/var/empty" "$work/usr/bin" "$work/usr/sbin" "$work/sbin" "$work/run"
find_busybox "$work/bin/busybox"
chmod 755 "$work" "$work/bin/busybox"
chmod 1777 "$work/tmp"
chmod 700 "$work/root"
for applet in $(applets); do
	[ "$applet" = busybox ] || ln -s busybox "$work/bin/$applet"
done
cat >"$work/etc/passwd" <<'PASSWD'
root:x:0:0:root:/root:/bin/sh
daemon:x:1:1:daemon:/usr/sbin:/bin/false
app:x:1000:1000:app:/home/app:/bin/sh
nobody:x:65534:65534:nobody:/home:/bin/false
PASSWD
cat >"$work/etc/group" <<'GROUP'
root:x:0:
daemon:x:1:
tty:x:5:
staff:x:50:app
app:x:1000:
video:x:44:app,daemon
nogroup:x:65534:
GROUP
mv "$work" "$out/busybox"
say "made rootfs-fixtures/$out/busybox"
