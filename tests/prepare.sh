#!/bin/sh
# Installs what building and testing need and this machine lacks (as root), or says
# which command does it.
#
#     prepare.sh build    what cargo needs to link its build scripts
#     prepare.sh          what the tests need; as an ordinary user the least of it, the rest is skipped
set -eu
cd "$(dirname "$0")"
. ../rootfs-fixtures/need.sh

if [ "${1-}" = build ]; then
	need cc=build-essential:build-base
	exit
fi

# The programs that ccrun is compared with. Without them their tests are skipped, and say so.
judges() (
	# A daemon that comes with a package is not to be started.
	policy=/usr/sbin/policy-rc.d
	if [ ! -e $policy ]; then
		trap 'rm -f $policy' EXIT
		printf '#!/bin/sh\nexit 101\n' >$policy
		chmod 755 $policy
	fi
	need umoci=umoci skopeo=skopeo zstd=zstd docker-registry=docker-registry podman=podman dockerd=docker.io bwrap=bubblewrap
)

need curl=curl
if [ "$(id -u)" = 0 ]; then
	need socat=socat openssl=openssl newuidmap=uidmap:shadow-uidmap useradd=passwd:shadow setfattr=attr strace=strace \
		unshare=util-linux:util-linux-misc
	# For the tests in a virtual machine (vm/run).
	case $(uname -m) in x86_64 | aarch64)
		need qemu-system-aarch64=qemu-system-arm:qemu-system-aarch64 qemu-img=qemu-utils:qemu-img \
			debugfs=e2fsprogs:e2fsprogs-extra resize2fs=e2fsprogs:e2fsprogs-extra
		;;
	esac
	[ "$(uname -m)" != x86_64 ] || need qemu-system-x86_64=qemu-system-x86:qemu-system-x86_64
	[ -e /etc/ssl/certs/ca-certificates.crt ] || need update-ca-certificates=ca-certificates
	if command -v apt-get >/dev/null 2>&1; then
		judges || say "going on without"
	fi
fi
