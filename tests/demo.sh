#!/bin/sh
# make demo: the challenge's steps 0 to 8 on this machine, each command printed,
# run and checked. Docker Hub is used when it answers; else images come from the
# tests' stand-in registry. CCRUN and IT name the binaries.
set -eu
cd "$(dirname "$0")/.."
. rootfs-fixtures/need.sh
need curl=curl
alpine=$PWD/rootfs-fixtures/out/alpine
work=$(mktemp -d /var/tmp/ccrun-demo.XXXXXX)
chmod 755 "$work"
registry=
cleanup() {
	[ -z "$registry" ] || kill "$registry" 2>/dev/null || :
	# Files of subordinate ids can only be removed by ccrun.
	for id in $(ls "$CCRUN_ROOT/containers" 2>/dev/null); do ccrun rm "$id"; done >/dev/null 2>&1 || :
	ccrun rmi "$image" >/dev/null 2>&1 || :
	rm -rf "$work" 2>/dev/null || { chmod -R u+rwX "$work"; rm -rf "$work"; } 2>/dev/null || :
}
image=alpine
trap cleanup EXIT
trap 'exit 130' INT TERM
export CCRUN_ROOT="$work/store" CCRUN_FIXTURES="$PWD/rootfs-fixtures/out"
mkdir "$work/bin"
cp "$CCRUN" "$work/bin/ccrun"
export PATH="$work/bin:$PATH"
bad=0 skipped=

step() { printf '\n\033[1m%s\033[0m\n' "$*"; }
# run STATUS COMMAND: prints it, runs it, keeps its output, checks its status, and shows one that tells of a failure.
run() {
	wanted=$1
	shift
	printf '\n$ %s\n' "$*"
	status=0
	output=$(eval "{ $*; } 2>&1") || status=$?
	[ -z "$output" ] || printf '%s\n' "$output"
	[ "$wanted" = 0 ] && [ "$status" = 0 ] || printf '$ echo $?\n%s\n' "$status"
	if [ "$status" = "$wanted" ]; then return; fi
	printf 'NOT SO: status %s instead of %s\n' "$status" "$wanted"
	bad=$((bad + 1))
}
# shows WHAT PATTERN: the last output has such a line.
shows() {
	printf '%s\n' "$output" | grep -Eq -- "$2" && { printf '  as it should: %s\n' "$1"; return; }
	printf 'NOT SO: %s\n' "$1"
	bad=$((bad + 1))
}
same() {
	[ "$2" = "$3" ] && { printf '  as it should: %s\n' "$1"; return; }
	printf 'NOT SO: %s\n--- before\n%s\n--- after\n%s\n' "$1" "$2" "$3"
	bad=$((bad + 1))
}

step "Step 0: one static binary"
run 0 ccrun version
run 0 "ldd $work/bin/ccrun || :"
shows 'it needs no library' 'statically linked|not a dynamic|Not a valid dynamic'

step "Step 1: run a command, hand on its output and its status"
run 0 ccrun run echo Hello Coding Challenges!
shows 'it prints the words' '^Hello Coding Challenges!$'
run 0 'echo hi | ccrun run cat'
shows 'it reads what it is given' '^hi$'
own=0; ls madeupdir >/dev/null 2>&1 || own=$?
run $own ccrun run ls madeupdir
shows 'its error and its status are those of ls' 'madeupdir.*No such file or directory'

step "Step 2: a hostname of its own"
before=$(uname -n)
run 0 ccrun run hostname
shows 'it is called container' '^container$'
run 0 "ccrun run sh -c 'hostname changed 2>/dev/null; hostname'"
same "this machine's name is still $before" "$before" "$(uname -n)"

step "Step 3: a root of its own: Alpine, whose marker file is ALPINE_FS_ROOT"
export CCRUN_ROOTFS="$alpine"
run 0 ccrun run /bin/busybox ls /
shows 'it sees the marker file' '^ALPINE_FS_ROOT$'
run 0 "ccrun run /bin/busybox sh -c 'cd ../../..; pwd; ls ALPINE_FS_ROOT'"
shows 'there is no way up' '^/$'
run 127 ccrun run /no/such/program

step "Step 4: processes of its own, /proc that tells of them"
before=$(mount | grep proc)
run 0 ccrun run /bin/busybox ps
shows 'ccrun is process 1, and only its own are there' '^ +1 .*ccrun'
run 0 "ccrun run /bin/busybox sh -c 'ps; mount | grep ^proc'"
same 'this machine has the same mounts of proc' "$before" "$(mount | grep proc)"

step "Step 5: root inside, nobody outside"
run 0 ccrun run /bin/busybox id -u
shows 'it is root inside' '^0$'
printf '\n$ ccrun run sleep 4321 &  ps -ef | grep sleep\n'
ccrun run /bin/busybox sleep 4321 </dev/null &
job=$!
uid=
for _ in 1 2 3 4 5 6 7 8 9 10; do
	sleep 0.5
	for proc in /proc/[0-9]*; do
		[ "$(tr '\0' ' ' <"$proc/cmdline" 2>/dev/null)" = '/bin/busybox sleep 4321 ' ] &&
			uid=$(sed -n 's/^Uid:[[:space:]]*\([0-9]*\).*/\1/p' "$proc/status") || :
	done 2>/dev/null
	[ -z "$uid" ] || break
done
printf 'on this machine, sleep runs as uid %s\n' "$uid"
[ "${uid:-0}" != 0 ] && echo '  as it should: not root' || { echo 'NOT SO: root, or not found'; bad=$((bad + 1)); }
kill "$job"
wait "$job" || :

step "Step 6: limits"
if ccrun run --rm -m 64m --cpus 0.5 --pids-limit 20 /bin/busybox true >"$work/limits" 2>&1; then
	run 137 "ccrun run -m 64m /bin/busybox sh -c 'x=\$(head -c 200m /dev/zero | tr \"\\\\0\" x); echo never'"
	run 0 "ccrun run --pids-limit 20 /bin/busybox sh -c 'for i in \$(seq 40); do sleep 1 & done' || :"
	shows 'no more can be started' "can.t fork"
	run 0 "ccrun run --cpus 0.5 /bin/busybox sh -c 'timeout 2 sh -c \"while :; do :; done\"; times' || :"
	echo '  (the last line: CPU time used in 2 s of a busy loop, of which half was allowed)'
else
	sed 's/^ccrun: /no limits here: /' "$work/limits"
	skipped='; step 6 (limits) was skipped'
fi
unset CCRUN_ROOTFS

step "Step 7: pull an image"
pull_and_run() {
	run 0 "${1}ccrun pull $image"
	run 0 "${1}ccrun images"
	shows 'the image is there' 'alpine'
	step "Step 8: run it"
	run 0 "${1}ccrun run --rm $image cat /etc/os-release"
	shows 'it is Alpine' '^ID=alpine$'
	run 0 "${1}ccrun run --rm $image /bin/sh -c 'echo \$PATH; pwd; id -u'"
	shows 'it has the environment of the image' '^/usr/local/sbin:'
	run 3 "${1}ccrun run --rm $image sh -c 'exit 3'"
}
if [ "$(curl -s -m 5 -o /dev/null -w '%{http_code}' https://registry-1.docker.io/v2/)" = 401 ]; then
	pull_and_run ''
elif [ "$(id -u)" = 0 ] && (need socat=socat openssl=openssl) && [ -e /etc/ssl/certs/ca-certificates.crt ]; then
	echo "(no Docker Hub from here: its names lead to a stand-in, in a network namespace of its own)"
	printf '#!/bin/sh\nexec "%s" --hub "$@"\n' "$IT" >"$work/bin/hub"
	chmod 755 "$work/bin/hub"
	pull_and_run "hub "
else
	echo "(no Docker Hub from here: a stand-in registry on loopback)"
	"$IT" --serve-registry >"$work/address" &
	registry=$!
	for _ in 1 2 3 4 5 6 7 8 9 10; do [ -s "$work/address" ] && break; sleep 1; done
	image=$(cat "$work/address")/library/alpine
	pull_and_run ''
fi
run 0 ccrun ps -a
run 0 ccrun rmi "$image"

if [ "$bad" != 0 ]; then printf '\n%s of the checks failed\n' "$bad"; exit 1; fi
printf '\nall steps as they should be%s\n' "$skipped"
