#!/bin/sh
# Whether a service is well: sh probe.sh FOLDER. Says what is wrong, and exits with 1 if anything is.
cd "$1" || exit 1
grep -q '^workers = [1-9]' settings.conf || { echo "settings.conf: workers is not set"; exit 1; }
waiting=$(find spool -type f | wc -l)
[ "$waiting" -le 10 ] || { echo "$((waiting)) messages wait in the spool"; exit 1; }
sh current/probe.sh 2>&1
