#!/bin/sh
# Installs what the tests use and this machine lacks (as root), or says which
# command does it. Only the first line is needed; without the rest tests are skipped.
set -eu
cd "$(dirname "$0")"
. ../rootfs-fixtures/need.sh

need curl=curl openssl=openssl
[ -e /etc/ssl/certs/ca-certificates.crt ] || need update-ca-certificates=ca-certificates
if [ "$(id -u)" = 0 ]; then
	need socat=socat newuidmap=uidmap:shadow-subids useradd=passwd:shadow setfattr=attr unshare=util-linux:util-linux-misc
fi
