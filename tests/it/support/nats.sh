#!/usr/bin/env bash
# Puts the server of NATS for the tests into a folder, from Debian's package; it needs no root. Fails if it does not start.
set -euo pipefail
mkdir -p "$1"
cd "$1"
if ! [ -x usr/sbin/nats-server ] && ! command -v nats-server >/dev/null; then
    [ "$(id -u)" != 0 ] || apt-get update
    apt-get download nats-server
    dpkg-deb -x nats-server_*.deb .
    rm nats-server_*.deb
fi
PATH=$PATH:$PWD/usr/sbin nats-server --version
