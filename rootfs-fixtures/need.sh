# Sourced by the scripts that need programs of this machine's distribution.
#
# need PROGRAM=DEBIAN_PACKAGE[:ALPINE_PACKAGE] …
#   As root, installs the packages of the programs that are not on PATH, and says
#   so; as an ordinary user, says which command to run, and fails.

say() { echo "${0##*/}: $*" >&2; }
die() { say "$*"; exit 1; }

# Fixed, so that an ordinary user finds debugfs, socat and their like too.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
export PATH

need() {
	missing=
	for pair; do
		command -v "${pair%%=*}" >/dev/null 2>&1 && continue
		packages=${pair#*=}
		if command -v apk >/dev/null 2>&1; then packages=${packages#*:}; else packages=${packages%%:*}; fi
		missing="$missing $packages"
	done
	[ -n "$missing" ] || return 0
	if command -v apt-get >/dev/null 2>&1; then
		install='apt-get -o DPkg::Lock::Timeout=300 install -y -q --no-install-recommends'
		refresh='apt-get update' short='apt-get install'
	elif command -v apk >/dev/null 2>&1; then
		install='apk add' refresh='apk update' short='apk add'
	else
		die "missing here:$missing; install them with this machine's package manager"
	fi
	[ "$(id -u)" = 0 ] || die "missing here:$missing; run: sudo $refresh && sudo $short$missing"
	say "installing$missing"
	log=$(mktemp)
	# One by one: packages that would do without each other must not fail together.
	DEBIAN_FRONTEND=noninteractive
	export DEBIAN_FRONTEND
	$refresh >"$log" 2>&1 || { tail -n 5 "$log" >&2; say "$refresh failed; trying to go on"; }
	for package in $missing; do
		$install "$package" >"$log" 2>&1 || { tail -n 20 "$log" >&2; rm -f "$log"; die "$install $package failed"; }
	done
	rm -f "$log"
}
