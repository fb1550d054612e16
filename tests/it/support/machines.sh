#!/usr/bin/env bash
# Servers of Restate and workers, and what happens to them in the middle of a run. The folder holds step-1.sh and so on, the
# commands of docs/cluster.md in their order, and the files that they need. It runs as root of a user namespace with its own
# network, mounts and processes: all of it ends with this script.
#
#   machines.sh nodes     three servers and two workers, each on a machine of its own: a network namespace at one bridge;
#                         one server is killed, and another one is cut off from the network
#   machines.sh balancer  a server and two workers behind HAProxy; one worker is killed
set -euo pipefail

# Not a script that looks for the interpreter.
PATH="$(dirname "$(python3 -c 'import sys; print(sys.executable)')"):$PATH"
ip link set lo up

say() { echo "$(date +%T.%1N) $*" >&2; }
# What is waited for has to come soon.
await() {
    local what=$1 end=$((SECONDS + 120)); shift
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$end" ] || { say "in vain: $what"; tail -n 20 ./*.log >&2; exit 1; }
        sleep 0.1
    done
    say "$what"
}
answers() { curl -sf -m 2 "http://$1" "${@:2}"; }
reached() { answers "$1:8080/agent.$2/version" -X POST; }
registered() { sh -ec "$(sed 's/^curl/curl -sf/' "$1")"; }
count() { python3 -S -c 'import sqlite3; print(*sqlite3.connect("effects.db", timeout=60).execute("SELECT count(*) FROM effects").fetchone())'; }
effects() { [ "$(count)" -ge "$1" ]; }
more() { await "effects $1" effects $(($(count) + 15)); }
run() { sh "$1" >run.log 2>&1 & run=$!; }
ended() { wait "$run" || { cat run.log >&2; exit 1; }; say "the run has ended"; }

nodes() {
    mount -t tmpfs none /run
    ip link add name hub type bridge
    ip addr add 10.77.0.1/24 dev hub
    ip link set hub up
    for number in 11 12 13 21 22; do
        ip netns add "m$number"
        ip link add name "v$number" type veth peer name e0 netns "m$number"
        ip link set "v$number" master hub up
        ip -n "m$number" addr add "10.77.0.$number/24" dev e0
        ip -n "m$number" link set e0 up
        ip -n "m$number" link set lo up
    done
    server() { N=$1 ip netns exec "m1$1" bash step-1.sh >>"server-$1.log" 2>&1 & }
    for number in 1 2 3; do server "$number"; done
    ip netns exec m21 sh step-2.sh >shop.log 2>&1 &
    ip netns exec m22 sh step-3.sh >bank.log 2>&1 &
    for number in 1 2 3; do await "server $number answers" answers "10.77.0.1$number:9070/health"; done
    await "the workers are registered" registered step-4.sh
    for agent in shop bank; do await "@$agent is reached" reached 10.77.0.11 "$agent"; done
    run step-5.sh
    more "with all servers"

    # As when the machine fails; the command follows its run through this server.
    ip netns pids m11 | xargs kill -9
    say "server 1 is killed"
    more "without server 1"
    mv server-1.log server-1-before.log
    server 1
    # For some seconds, the others do not rely on it.
    await "server 1 is back" grep -q "N1:.* to Alive" server-1.log
    more "with all servers again"

    # Packets are lost in both directions, and no connection is closed.
    ip link set v12 down
    say "server 2 is cut off"
    more "without server 2"
    ip link set v12 up
    ended
    await "server 2 reaches the workers again" reached 10.77.0.12 bank
}

balancer() {
    RESTATE_DISABLE_TELEMETRY=true restate-server --default-num-partitions 1 --listen-mode tcp >server.log 2>&1 &
    # It checks its workers as soon as it starts.
    sh -c "exec $(cat step-2.sh)" >one.log 2>&1 &
    local one=$!
    sh step-3.sh >two.log 2>&1 &
    sh step-1.sh >haproxy.log 2>&1 &
    await "the workers are registered" registered step-4.sh
    for agent in shop bank; do await "@$agent is reached" reached 127.0.0.1 "$agent"; done
    run step-5.sh
    more "of both workers"
    kill -9 "$one"
    say "a worker is killed"
    ended
}

python3 -S -c 'import sqlite3
base = sqlite3.connect("effects.db")
base.execute("PRAGMA journal_mode = WAL")
base.execute("CREATE TABLE calls (key, step, item, worker)")
base.execute("CREATE TABLE effects (key PRIMARY KEY, step, item)")'
"$1"
