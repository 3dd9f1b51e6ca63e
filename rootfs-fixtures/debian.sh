#!/bin/sh
# Makes out/debian: a minimal Debian, as debootstrap makes it, as one image layer:
# layer.tar.gz and layer.tar.zst, and in diff-id the digest of the tar in both. Needs
# root, and a mirror; says so and makes nothing where there is none.
set -eu
cd "$(dirname "$0")"
. ./need.sh

suite=bookworm
[ ! -e out/debian/diff-id ] || exit 0
[ "$(id -u)" = 0 ] || { say "SKIP: debootstrap needs root; the tests with Debian are skipped"; exit 0; }
command -v apt-get >/dev/null 2>&1 || { say "SKIP: no apt-get here; the tests with Debian are skipped"; exit 0; }
# The mirror that this machine uses itself, in either of apt's formats.
mirror=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/debian.sources 2>/dev/null |
	sed -n 's/^URIs: *\([^ ]*\).*/\1/p; s/^deb \(\[[^]]*\] \)\{0,1\}\([^ ]*\).*/\2/p' | grep '/debian/*$' | head -n 1)
need curl=curl
curl -fsI -m 20 -o /dev/null "${mirror:=http://deb.debian.org/debian}/dists/$suite/InRelease" || {
	say "SKIP: no $suite at $mirror; the tests with Debian are skipped"
	exit 0
}
need debootstrap=debootstrap zstd=zstd

mkdir -p out
# Not where a mount option forbids the devices and programs that debootstrap makes.
work=$(mktemp -d out/debian.XXXXXX)
trap 'rm -rf --one-file-system "$work"' EXIT
trap 'exit 130' INT TERM
debootstrap --variant=minbase "$suite" "$work/tree" "$mirror" >"$work/log" 2>&1 || {
	tail -n 20 "$work/log" >&2
	die "debootstrap failed"
}
# What apt can fetch again.
find "$work/tree/var/cache/apt" "$work/tree/var/lib/apt/lists" -type f -delete
mkdir "$work/debian"
tar --format=posix --xattrs --xattrs-include='*' --numeric-owner --sort=name -C "$work/tree" -cf "$work/tar" .
sum=$(sha256sum "$work/tar")
gzip -n -3 <"$work/tar" >"$work/debian/layer.tar.gz"
zstd -q <"$work/tar" >"$work/debian/layer.tar.zst"
echo "sha256:${sum%% *}" >"$work/debian/diff-id"
chmod -R a+rX "$work/debian"
mv "$work/debian" out/debian
say "made rootfs-fixtures/out/debian from $mirror"
