#!/bin/sh
# Makes out/busybox: the smallest root file system that has a shell. It holds one
# static busybox, links for its applets, and the few files every image has.
set -eu
cd "$(dirname "$0")"
. ./need.sh

[ ! -e out/busybox/bin/busybox ] || exit 0
mkdir -p out
work=$(mktemp -d out/busybox.XXXXXX)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

# A static program runs in an empty directory; that is all that is asked of it.
is_static() { ! ldd "$1" >/dev/null 2>&1 || ldd "$1" 2>&1 | grep -qi 'statically\|not a dynamic\|not a valid dynamic'; }

find_busybox() {
	for candidate in /bin/busybox.static "$(command -v busybox 2>/dev/null || :)"; do
		[ -x "$candidate" ] && is_static "$candidate" && { cp "$candidate" "$1"; return; }
	done
	# Debian's package is unpacked beside its system, not installed into it.
	if command -v apt-get >/dev/null 2>&1; then
		mkdir "$work.deb"
		( cd "$work.deb" && { apt-get download -qq busybox-static || {
			[ "$(id -u)" = 0 ] && apt-get update -qq && apt-get download -qq busybox-static; }; } ) >/dev/null 2>&1 || {
			rm -rf "$work.deb"
			die "apt-get download busybox-static failed; run: sudo apt-get update"
		}
		dpkg-deb -x "$work.deb"/busybox-static_*.deb "$work.deb/files"
		cp "$work.deb/files/usr/bin/busybox" "$1" 2>/dev/null || cp "$work.deb/files/bin/busybox" "$1"
		rm -rf "$work.deb"
	else
		need busybox.static=busybox-static
		cp /bin/busybox.static "$1"
	fi
}

umask 022
mkdir -p "$work/bin" "$work/etc" "$work/dev" "$work/proc" "$work/sys" "$work/root" "$work/tmp" \
	"$work/home" "$work/var/empty" "$work/usr/bin" "$work/usr/sbin" "$work/sbin" "$work/run"
find_busybox "$work/bin/busybox"
chmod 755 "$work" "$work/bin/busybox"
chmod 1777 "$work/tmp"
chmod 700 "$work/root"
for applet in $("$work/bin/busybox" --list); do
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
mv "$work" out/busybox
say "made rootfs-fixtures/out/busybox"
