#!/bin/sh
# Prints the ACL file of rollcall's Redis:
#
#   sh acl.sh PASSWORD_FILE [ADMIN_PASSWORD_FILE]
#
# PASSWORD_FILE holds the password of the user rollcall, under which workers and producers log in.
# With the second file there is a user admin as well, for backups and maintenance. The user default
# is off: without a password no client can log in. Passwords appear as SHA-256 sums alone.
set -eu

# Without it the sums would be empty, and Redis would refuse the file.
command -v sha256sum >/dev/null || { echo "acl.sh: sha256sum is missing; install coreutils" >&2; exit 2; }

sum() {
  [ -s "$1" ] || { echo "acl.sh: $1 is empty or missing; put the password into it" >&2; exit 2; }
  # The line end is not part of the password: rollcall drops it, too.
  tr -d '\r\n' <"$1" | sha256sum | cut -d ' ' -f 1
}

[ $# -ge 1 ] || { echo "usage: sh acl.sh PASSWORD_FILE [ADMIN_PASSWORD_FILE]" >&2; exit 2; }
rollcall=$(sum "$1")
admin=
[ $# -lt 2 ] || admin=$(sum "$2")

# The user default is off, and yet may do everything: Redis replays its AOF as that user, and drops
# each transaction that the user may not run (7.0.15 does so, with no more than a line in its log).
echo "user default off resetpass ~* &* +@all"
# The rights of docs/redis.md.
keys="~asynq:* ~rollcall:* resetchannels &asynq:cancel &rollcall:*"
commands="-@all +@read +@write +@connection +eval +evalsha +time +wait +multi +exec +publish +subscribe +unsubscribe -@dangerous"
topology="+info +cluster|slots +cluster|info +cluster|nodes +cluster|keyslot"
echo "user rollcall on #$rollcall $keys $commands $topology"
[ -z "$admin" ] || echo "user admin on #$admin ~* &* +@all"
