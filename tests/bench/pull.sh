#!/bin/bash
# make bench-pull: what it costs to pull an image of six layers and 400 MB of real files
# from a registry on loopback, beside its peers and beside `curl | sha256sum`,
# `gzip -dc | tar x` for all layers at once. Prints ratios; asserts nothing.
# CCRUN and IT name the binaries, RUNS the number of rounds, MB the size.
set -euo pipefail
export LC_ALL=C
[ "$(id -u)" = 0 ] || { echo "bench-pull: umoci, podman and docker need root here; run it as root" >&2; exit 1; }
# dockerd cannot do with both cgroup versions, so the new one goes out of its sight.
if [ -z "${CCRUN_BENCH_APART-}" ]; then
	CCRUN_BENCH_APART=1 exec unshare -m sh -c 'umount /sys/fs/cgroup/unified 2>/dev/null; exec "$0"' "$0"
fi
rounds=${RUNS:-3}
megabytes=${MB:-400}
work=$(mktemp -d /var/tmp/ccrun-bench-pull.XXXXXX)
pids=()
cleanup() {
	kill "${pids[@]}" 2>/dev/null || :
	wait "${pids[@]}" 2>/dev/null || :
	awk -v work="$work" '$2 ~ "^" work { print $2 }' /proc/mounts | sort -r | xargs -r umount -l 2>/dev/null || :
	rm -rf "$work" || :
}
trap cleanup EXIT
have() { command -v "$1" >/dev/null 2>&1; }
for program in docker-registry skopeo zstd; do
	have "$program" || { echo "bench-pull: install $program" >&2; exit 1; }
done

# 1. The image: this machine's own programs, in the order of their names.
find /usr -xdev \( -type f -o -type l \) -size -1024k -readable -printf '%s %p\n' 2>/dev/null | sort -k2 |
	awk -v bytes="$((megabytes * 1048576))" -v prefix="$work/files." '
		(sum += $1) < bytes { sub(/^[0-9]+ /, ""); print > (prefix int(6 * sum / bytes)) }'
layout=$work/layout
blobs=$layout/blobs/sha256
mkdir -p "$blobs"
echo '{"imageLayoutVersion":"1.0.0"}' >"$layout/oci-layout"
# add FILE: moves a file among the blobs; gives its digest and size.
add() {
	local hex size
	hex=$(sha256sum "$1" | cut -d' ' -f1)
	size=$(stat -c %s "$1")
	mv "$1" "$blobs/$hex"
	echo "\"digest\":\"sha256:$hex\",\"size\":$size"
}
layers= diff_ids= digests=()
for list in "$work"/files.?; do
	tar -C / -cf "$work/tar" --no-recursion -T "$list" --transform 's|^/*||' 2>/dev/null
	diff_ids+=${diff_ids:+,}\"sha256:$(sha256sum "$work/tar" | cut -d' ' -f1)\"
	gzip -6 "$work/tar"
	descriptor=$(add "$work/tar.gz")
	digests+=("$(echo "$descriptor" | grep -o 'sha256:[0-9a-f]*')")
	layers+=${layers:+,}"{\"mediaType\":\"application/vnd.oci.image.layer.v1.tar+gzip\",$descriptor}"
done
echo "{\"architecture\":\"amd64\",\"os\":\"linux\",\"config\":{},\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[$diff_ids]}}" >"$work/config"
config=$(add "$work/config")
echo "{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",\"config\":{\"mediaType\":\
\"application/vnd.oci.image.config.v1+json\",$config},\"layers\":[$layers]}" >"$work/manifest"
manifest=$(add "$work/manifest")
echo "{\"schemaVersion\":2,\"manifests\":[{\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",$manifest,\
\"annotations\":{\"org.opencontainers.image.ref.name\":\"bench\"}}]}" >"$layout/index.json"

# 2. The registry.
port=$((20000 + $$ % 20000))
cat >"$work/registry.yml" <<-YAML
	version: 0.1
	log: {level: error}
	storage: {filesystem: {rootdirectory: $work/registry}}
	http: {addr: "127.0.0.1:$port"}
YAML
docker-registry serve "$work/registry.yml" >/dev/null 2>&1 &
pids+=($!)
for ((i = 0; i < 100; i++)); do curl -s -o /dev/null "http://127.0.0.1:$port/v2/" && break; sleep 0.1; done
skopeo copy -q --dest-tls-verify=false "oci:$layout:bench" "docker://127.0.0.1:$port/bench:latest"
image=127.0.0.1:$port/bench:latest
printf 'an image of %d layers, %d MB, %d files, %d MB compressed, from loopback (%d rounds, the fastest)\n' \
	"${#digests[@]}" "$megabytes" "$(cat "$work"/files.? | wc -l)" "$(($(du -sb "$blobs" | cut -f1) / 1000000))" "$rounds"

# 3. The peers. Each begins with nothing, in a directory of its own ($round): what one has made is removed when
# all is over, because ext4 takes its time over inodes that were just given back.
layer_with_tar() {
	mkdir -p "$round/tar/$1"
	curl -sf "http://127.0.0.1:$port/v2/bench/blobs/$1" | tee >(sha256sum >"$round/tar/$1.sum") | gzip -dc | tar -xpf - -C "$round/tar/$1"
}
pull_floor() { local digest; for digest in "${digests[@]}"; do layer_with_tar "$digest" & done; wait; }
pull_synced() { pull_floor; sync -f "$work"; }
pull_ccrun() { "$CCRUN" --root "$round/store" pull -q "$image"; }
pull_umoci() {
	skopeo copy -q --src-tls-verify=false "docker://$image" "oci:$round/oci:bench"
	umoci unpack --image "$round/oci:bench" "$round/bundle"
}
pull_podman() { podman --root "$round/podman" --runroot "$work/podman-run" pull -q --tls-verify=false "$image"; }
pull_docker() { docker -H "unix://$work/docker.sock" pull -q "$image"; }
export -f layer_with_tar pull_floor pull_synced pull_ccrun pull_umoci pull_podman pull_docker
export work port image CCRUN
export digests_list="${digests[*]}"

names=("floor (curl, gzip, tar)" "floor, then sync" ccrun)
functions=(pull_floor pull_synced pull_ccrun)
have umoci && names+=("skopeo copy, umoci unpack") functions+=(pull_umoci)
have podman && names+=("podman pull") functions+=(pull_podman)
daemon=0
if have dockerd; then
	dockerd --bridge=none --iptables=false --ip6tables=false --data-root "$work/docker" --exec-root "$work/docker-run" \
		-p "$work/docker.pid" -H "unix://$work/docker.sock" >"$work/docker.log" 2>&1 &
	daemon=$!
	pids+=("$daemon")
	for ((i = 0; i < 200; i++)); do [ -S "$work/docker.sock" ] && docker -H "unix://$work/docker.sock" version >/dev/null 2>&1 && break; sleep 0.1; done
	names+=("docker pull (with its daemon)") functions+=(pull_docker)
fi
for ((i = 0; i < rounds; i++)); do
	for n in "${!functions[@]}"; do
		export round=$work/round.$i.$n
		mkdir "$round"
		watched=0
		if [ "${functions[n]}" = pull_docker ]; then
			watched=$daemon
			[ "$i" = 0 ] || docker -H "unix://$work/docker.sock" rmi -f "$image" >/dev/null
		fi
		sync
		"$IT" --measure "$watched" bash -c "digests=(\$digests_list); ${functions[n]}" 2>"$work/error" >>"$work/figures.$n" ||
			echo "${names[n]}: $(tail -n 1 "$work/error")" >&2
	done
done

# 4. The table.
for n in "${!names[@]}"; do
	[ -s "$work/figures.$n" ] || continue
	read -r wall cpu peak < <(sort -n "$work/figures.$n" | head -n 1)
	: "${first:=$wall}"
	awk -v name="${names[n]}" -v wall="$wall" -v cpu="$cpu" -v peak="$peak" -v first="$first" 'BEGIN {
		printf "%-30s %6.2f s wall (%5.2f × the first) %6.2f s CPU %5d MB peak\n", name, wall / 1000, wall / first, cpu / 1000, peak / 1000 }'
done

# 5. Again, with everything present.
read -r wall _ < <("$IT" --measure 0 "$CCRUN" --root "$work/round.0.2/store" pull -q "$image" 2>/dev/null)
echo "ccrun pull, everything present: $wall ms"
