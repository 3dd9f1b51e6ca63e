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
need curl=curl
if [ "$(id -u)" = 0 ]; then
	need socat=socat openssl=openssl newuidmap=uidmap:shadow-uidmap useradd=passwd:shadow setfattr=attr \
		unshare=util-linux:util-linux-misc
	need docker-registry=docker-registry skopeo=skopeo
	[ -e /etc/ssl/certs/ca-certificates.crt ] || need update-ca-certificates=ca-certificates
fi
