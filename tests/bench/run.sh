#!/bin/bash
# make bench: what a start costs beside a C program with the same system calls and
# beside ccrun's peers, what the system call filter costs beside Docker's, and what
# unpacking costs beside `gzip -dc | tar x`. Prints ratios; asserts nothing. CCRUN and
# IT name the binaries, RUNS the number of runs.
set -euo pipefail
export LC_ALL=C
# crun refuses the hybrid of both cgroup versions, so the new one goes out of its sight.
if [ "$(id -u)" = 0 ] && [ -d /sys/fs/cgroup/unified ] && [ -z "${CCRUN_BENCH_APART-}" ]; then
	CCRUN_BENCH_APART=1 exec unshare -m sh -c 'umount /sys/fs/cgroup/unified; exec "$0"' "$0"
fi
here=$(cd "$(dirname "$0")" && pwd)
busybox=$(cd "$here/../../rootfs-fixtures/out/busybox" && pwd)
runs=${RUNS:-40}
work=$(mktemp -d /var/tmp/ccrun-bench.XXXXXX)
chmod 755 "$work"
registry='' engine='' docker_dir=''
stop_docker() {
	[ -n "$engine" ] || return 0
	kill "$engine" 2>/dev/null || :
	wait "$engine" 2>/dev/null || :
	engine=
	rmdir "/sys/fs/cgroup"/*/"ccrun-bench-$$" 2>/dev/null || :
	rm -rf "$docker_dir"
}
cleanup() { [ -z "$registry" ] || kill "$registry" 2>/dev/null || :; stop_docker; umount "$work/podman/overlay" 2>/dev/null || :; rm -rf "$work"; }
trap cleanup EXIT
export CCRUN_ROOT=$work/store
have() { command -v "$1" >/dev/null 2>&1; }

# row NAME COMMAND…: one of those that are compared; those that don't run here say so.
row() {
	local name=$1
	shift
	"$@" >/dev/null 2>"$work/error" </dev/null || { printf '%-28s does not run here: %s\n' "$name" "$(head -n 1 "$work/error")"; return 0; }
	names+=("$name")
	commands+=("$(printf '%q ' "$@")")
}

# compare: runs them by turns, so that whatever else the machine does falls on all
# of them; prints the mean of each one's faster half.
compare() {
	local begin end n i us first=
	rm -f "$work"/us.*
	for ((i = 0; i < runs; i++)); do
		for n in "${!names[@]}"; do
			begin=${EPOCHREALTIME/./}
			eval "${commands[n]}" >/dev/null 2>&1 </dev/null
			end=${EPOCHREALTIME/./}
			echo $((end - begin)) >>"$work/us.$n"
		done
	done
	for n in "${!names[@]}"; do
		us=$(sort -n "$work/us.$n" | awk -v half=$(((runs + 1) / 2)) 'NR <= half { sum += $1 } END { printf "%d\n", sum / half }')
		: "${first:=$us}"
		awk -v name="${names[n]}" -v us="$us" -v first="$first" \
			'BEGIN { printf "%-28s %8.2f ms   %5.2f × the first\n", name, us / 1000, us / first }'
		means[n]=$us
	done
	names=() commands=()
}
names=() commands=() means=()

# The sum of the peaks of a command's process and its children, in kB.
peak() {
	"$@" >/dev/null 2>&1 </dev/null &
	local job=$! pid
	sleep 1
	for pid in "$job" $(cat "/proc/$job/task/$job/children"); do
		sed -n 's/^VmHWM:[[:space:]]*\([0-9]*\) kB/\1/p' "/proc/$pid/status"
	done 2>/dev/null | awk '{ sum += $1 } END { print sum + 0 }'
	kill "$job" 2>/dev/null || :
	wait "$job" 2>/dev/null || :
}

cc=gcc
have musl-gcc && cc=musl-gcc
build() { "$cc" -O2 -static -idirafter /usr/include -idirafter "/usr/include/$(uname -m)-linux-gnu" -o "$work/$1" "$here/$1.c"; }
build floor
build getpid
mkdir "$work/state"

# crun wants a bundle; like ccrun, it gets a user namespace and an upper layer.
crun_bundle() {
	mkdir -p "$work/bundle/rootfs" && cp -a "$busybox/." "$work/bundle/rootfs/"
	(cd "$work/bundle" && crun spec)
	python3 - "$work/bundle/config.json" <<-'PYTHON'
		import json, sys
		spec = json.load(open(sys.argv[1]))
		spec["process"].update(terminal=False, args=["/bin/true"])
		spec["linux"]["namespaces"] = [{"type": t} for t in ("user", "pid", "network", "ipc", "uts", "mount", "cgroup")]
		for ids in ("uidMappings", "gidMappings"):
		    spec["linux"][ids] = [{"containerID": 0, "hostID": 2000000000, "size": 65536}]
		json.dump(spec, open(sys.argv[1], "w"))
	PYTHON
	chown -R 2000000000:2000000000 "$work/bundle/rootfs"
	chmod 755 "$work" "$work/bundle"
}

echo "start and end of /bin/true ($runs runs, mean of the faster half)"
row "floor (C, $cc)" "$work/floor" "$work/state" "$busybox" /bin/true
row ccrun "$CCRUN" run --rm --rootfs "$busybox" /bin/true
if have bwrap; then
	row "bubblewrap" bwrap --unshare-all --unshare-user --uid 0 --gid 0 --ro-bind "$busybox" / --proc /proc --dev /dev \
		--tmpfs /tmp --hostname container --die-with-parent /bin/true
fi
if have crun && [ "$(id -u)" = 0 ] && have python3; then
	crun_bundle
	row "crun" crun --root "$work/crun" run --bundle "$work/bundle" "bench-$$"
fi
if have podman; then
	row "podman" podman --root "$work/podman" --runroot "$work/podman-run" run --rm --network none --rootfs "$busybox" /bin/true
fi
compare
if have hyperfine; then
	hyperfine -N --warmup 3 --runs "$runs" --export-json "$work/hyperfine" \
		"$work/floor $work/state $busybox /bin/true" "$CCRUN run --rm --rootfs $busybox /bin/true" >/dev/null 2>&1 &&
		echo "hyperfine's medians: $(python3 -c "
import json
a, b = [r['median'] * 1000 for r in json.load(open('$work/hyperfine'))['results']]
print(f'floor {a:.2f} ms, ccrun {b:.2f} ms, {b / a:.2f} ×')")" || :
fi

if [ "$(id -u)" = 0 ]; then
	echo
	echo "what limits add (-m 64m --cpus 0.5 --pids-limit 20), as root"
	limits=(-m 64m --cpus 0.5 --pids-limit 20)
	row "floor" "$work/floor" "$work/state" "$busybox" /bin/true
	row "floor, limits" "$work/floor" --limits "$work/state" "$busybox" /bin/true
	row "ccrun, no cgroup on v1" "$CCRUN" run --rm --pids-limit -1 --rootfs "$busybox" /bin/true
	row "ccrun, as it is" "$CCRUN" run --rm --rootfs "$busybox" /bin/true
	row "ccrun, limits" "$CCRUN" run --rm "${limits[@]}" --rootfs "$busybox" /bin/true
	compare
	awk -v c=$((means[1] - means[0])) -v default=$((means[3] - means[2])) -v rust=$((means[4] - means[2])) \
		'BEGIN { printf "limits add %.2f ms to the floor, %.2f ms to ccrun: %.2f ×; the default %.2f ms\n", c / 1000, rust / 1000, rust / c, default / 1000 }'
fi

# The Docker Engine, which wants a mount namespace of its own and a short path for its socket.
start_docker() {
	docker_dir=/run/ccrun-bench.$$
	mkdir -p "$docker_dir"
	unshare -m sh -c "mount --make-rprivate /; mkdir -p /etc/docker; mount -t tmpfs none /etc/docker
		exec dockerd --bridge=none --iptables=false --ip6tables=false --data-root $work/docker --exec-root $docker_dir/exec \
			-p $docker_dir/pid -H unix://$docker_dir/socket --cgroup-parent=/ccrun-bench-$$" >"$work/dockerd" 2>&1 &
	engine=$!
	docker="docker -H unix://$docker_dir/socket"
	for ((i = 0; i < 200; i++)); do $docker version >/dev/null 2>&1 && break; sleep 0.1; done
	tar -C "$busybox" -c . | $docker import - bench >/dev/null
}

# Each call of a filtered process asks the filter. By turns, and the best of each, as the differences are small.
echo
echo "a system call that does nothing (getpid), ns"
best() { sort -n "$1" | head -n 1; }
in_ccrun() { "$CCRUN" run --rm --rootfs "$busybox" -v "$work/getpid:/getpid:ro" "$@" /getpid; }
in_docker() { $docker run --rm --network none -v "$work/getpid:/getpid:ro" bench /getpid; }
if [ "$(id -u)" = 0 ] && have dockerd && have docker; then start_docker; fi
for ((i = 0; i < 7; i++)); do
	in_ccrun --security-opt seccomp=unconfined >>"$work/ns.free"
	in_ccrun >>"$work/ns.ccrun"
	[ -z "$engine" ] || in_docker >>"$work/ns.docker"
done
printf '%-28s %8s\n' "without a filter" "$(best "$work/ns.free")" "ccrun's filter" "$(best "$work/ns.ccrun")"
[ -z "$engine" ] || awk -v ours="$(best "$work/ns.ccrun")" -v theirs="$(best "$work/ns.docker")" \
	'BEGIN { printf "%-28s %8s   ccrun is %.3f × that\n", "Docker'"'"'s filter", theirs, ours / theirs }'
stop_docker

echo
echo "size and memory"
printf '%-28s %8d kB\n' "ccrun, the binary" "$(($(stat -c %s "$CCRUN") / 1024))"
printf '%-28s %8d kB\n' "supervisor + init, peak RSS" "$(peak "$CCRUN" run --rm --rootfs "$busybox" /bin/sleep 3)"

# A layer of real files: the first 190 MB of this machine's programs, about 60 MB compressed.
echo
find /usr/bin /usr/lib /usr/share -xdev -type f -size -8192k -readable -printf '%s %p\n' 2>/dev/null | sort -k2 |
	awk '(sum += $1) < 190 * 1048576 { sub(/^[0-9]+ /, ""); print }' >"$work/files"
tar -C / -cf - -T "$work/files" --transform 's|^/*||' 2>/dev/null | gzip -6 >"$work/layer.tar.gz"
printf 'unpacking a layer of %d MB (%d MB of tar, %d files)\n' "$(($(stat -c %s "$work/layer.tar.gz") / 1000000))" \
	"$(($(gzip -dc "$work/layer.tar.gz" | wc -c) / 1000000))" "$(wc -l <"$work/files")"
unpack_with_tar() { rm -rf "$work/tar" && mkdir "$work/tar" && gzip -dc "$work/layer.tar.gz" | tar -xpf - -C "$work/tar" && sync -f "$work"; }
unpack_with_ccrun() { rm -rf "$work/store" && "$CCRUN" pull "$address/bench/layer"; }
"$IT" --serve-registry --layer "$work/layer.tar.gz" >"$work/address" 2>/dev/null &
registry=$!
for ((i = 0; i < 300; i++)); do [ -s "$work/address" ] && break; sleep 0.1; done
address=$(cat "$work/address")
runs=5
row "gzip -dc | tar x, sync" unpack_with_tar
row "ccrun pull (from loopback)" unpack_with_ccrun
compare
