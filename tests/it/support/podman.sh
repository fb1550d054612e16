#!/usr/bin/env bash
# Prepares podman for the tests in a folder: its own configuration and storage, and the image `orderflow-test` of busybox
# alone, which needs no registry. Installs Debian's packages where it may. Fails if no container runs then.
set -euo pipefail
mkdir -p "$1"
cd "$1"
here=$PWD

missing() {
    for program in podman runc busybox; do command -v "$program" >/dev/null || return 0; done
    # Podman does not start without its tool for networks, which Debian only recommends.
    [ ! -d /usr/lib/podman ] || [ -x /usr/lib/podman/netavark ] || return 0
    false
}
if missing && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get update
    apt-get install -y --no-install-recommends podman runc busybox-static netavark
fi

# runc works with every kind of control groups, the file system vfs in every folder. Podman as root sets limits that are
# higher than those of here may be. A container that is not without a network has that of the machine.
limit() { local most; most=$(ulimit "$1"); [ "$most" != unlimited ] && [ "$most" -lt 20000 ] || most=20000; echo "$2=$most:$most"; }
cat >containers.conf <<END
[containers]
default_ulimits = ["$(limit -Hn nofile)", "$(limit -Hu nproc)"]
netns = "host"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
[network]
network_backend = "netavark"
END
cat >storage.conf <<END
[storage]
driver = "vfs"
graphroot = "$here/storage"
runroot = "$here/run"
END
export CONTAINERS_CONF=$here/containers.conf CONTAINERS_STORAGE_CONF=$here/storage.conf

if ! podman image exists orderflow-test; then
    rm -rf root
    mkdir -p root/bin root/tmp
    cp "$(command -v busybox)" root/bin/busybox
    for program in $(busybox --list); do ln -s busybox "root/bin/$program" 2>/dev/null || true; done
    chmod 1777 root/tmp
    tar -C root -c . | podman import - orderflow-test
fi
podman run --rm --network=none orderflow-test true
