#!/bin/sh
# Makes a small fleet of services to try the runbook on: sh fleet.sh FOLDER
# Each is a folder as on our hosts. Three are broken in a way that the runbook knows, one in a way that it does not,
# and one is well: its alert was a false one.
set -eu
mkdir -p "$1" && cd "$1"

service() {
    mkdir -p "$1/releases/41" "$1/releases/42" "$1/spool" "$1/spool.dead" "$1/outbox" "$1/log"
    echo 'exit 0' > "$1/releases/41/probe.sh"
    echo 'exit 0' > "$1/releases/42/probe.sh"
    echo 'workers = 4' > "$1/settings.conf"
    cp "$1/settings.conf" "$1/settings.conf.good"
    ln -sfn releases/42 "$1/current"
    echo '2026-03-02T07:58:10 INFO release 42 is live' > "$1/log/service.log"
}

service checkout                            # release 42 is bad
echo 'echo "cannot read the price list" >&2; exit 1' > checkout/releases/42/probe.sh
echo '2026-03-02T07:59:44 ERROR cannot read the price list (release 42)' >> checkout/log/service.log

service mailer                              # a letter that nobody can send blocks the others
for number in 1 2 3 4 5 6 7 8 9 10 11 12; do echo "to: customer$number@example.org" > "mailer/spool/$number.msg"; done
echo 'to: nobody' > mailer/spool/0.msg
echo '2026-03-02T08:03:02 ERROR spool/0.msg: no such recipient, trying again' >> mailer/log/service.log

service search                              # somebody has emptied its settings
: > search/settings.conf
echo '2026-03-02T08:04:30 ERROR settings.conf: workers is not set' >> search/log/service.log

service billing                             # nobody knows
echo 'echo "the ledger does not add up" >&2; exit 1' > billing/releases/41/probe.sh
cp billing/releases/41/probe.sh billing/releases/42/probe.sh
echo '2026-03-02T08:06:00 ERROR the ledger does not add up' >> billing/log/service.log

service catalogue                           # is well
