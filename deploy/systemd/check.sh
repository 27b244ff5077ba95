#!/bin/sh
# worker check as the service will run it: as its user, with the secrets where systemd puts them.
#
#   sudo sh check.sh [--connect]
#
# The secrets are copied into memory that only this process sees, and are removed when it ends.
set -eu
mkdir -p /run/credentials
# shellcheck disable=SC2016 # expanded inside
exec unshare --mount sh -euc '
  seen=/run/credentials/rollcall-worker.service
  mount -t tmpfs -o mode=0755 tmpfs /run/credentials
  mkdir -m 0755 "$seen"
  for secret in /etc/rollcall/secrets/*; do
    install -o rollcall -g rollcall -m 0400 "$secret" "$seen/"
  done
  cd /var/lib/rollcall
  exec setpriv --reuid rollcall --regid rollcall --clear-groups --no-new-privs \
    /opt/rollcall/bin/worker check --config /etc/rollcall/rollcall.yaml "$@"
' sh "$@"
