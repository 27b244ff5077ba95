#!/usr/bin/env bash
# The trial of deploy/README.md without anybody at the keyboard: two organisations against emulated
# platforms, a real Redis with a password and an ACL user, a restart of everything, and three workers
# that share a schedule. Nothing leaves the machine.
#
#   deploy/trial.sh [BIN]
#
# BIN is the directory with worker and enqueue, default bin/ of the checkout, where they are built if
# they are missing. Needs redis-server, redis-cli and curl. Takes two to four minutes, since the
# schedule's smallest step is a minute. Exits 0 when every step went as the page says.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
bin=${1:-$here/../bin}
if ! [ -x "$bin/worker" ] || ! [ -x "$bin/enqueue" ]; then
  (cd "$here/.." && make build)
fi
bin=$(cd "$bin" && pwd)
for tool in redis-server redis-cli curl; do
  command -v "$tool" >/dev/null || { echo "trial.sh: $tool is not on the PATH; install it" >&2; exit 2; }
done

dir=$(mktemp -d)
declare -A pids=()

step() { printf '\n== %s\n' "$*"; }
show() { printf '$ %s\n' "$*"; "$@"; }

# launch NAME COMMAND...: in the background, its output in NAME.log.
launch() {
  local name=$1
  shift
  "$@" >>"$name.log" 2>&1 &
  pids[$name]=$!
}

# quit NAME [SIGNAL]: by its own process id, and waits for it.
quit() {
  local name=$1 pid=${pids[$1]:-}
  [ -n "$pid" ] || return 0
  unset "pids[$name]"
  kill -s "${2:-TERM}" "$pid" 2>/dev/null || true
  wait "$pid" 2>/dev/null || true
}

fail() {
  echo "trial.sh: $*" >&2
  for log in *.log; do
    echo "--- the end of $log" >&2
    tail -n 15 "$log" >&2
  done
  exit 1
}

finish() {
  for name in "${!pids[@]}"; do quit "$name"; done
  cd /
  rm -rf "$dir"
}
trap finish EXIT

# eventually SECONDS WHAT COMMAND...: until the command succeeds.
eventually() {
  local end=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$end" ] || fail "gave up waiting: $what"
    sleep 0.2
  done
}

as_rollcall() { REDISCLI_AUTH=$(cat secrets/redis-password) redis-cli -p 16379 --user rollcall --no-auth-warning "$@"; }
as_admin() { REDISCLI_AUTH=$(cat secrets/redis-admin-password) redis-cli -p 16379 --user admin --no-auth-warning "$@"; }
# How many calls of an API both platforms have decided, refused ones too.
calls() { curl -fsS http://127.0.0.1:19090/_sandbox/calls | tr -d ' \n' | grep -o "\"api\":\"$1\"" | wc -l; }
called() { [ "$(calls "$1")" -eq "$2" ]; }
must() { [ "$2" = "$3" ] || fail "$1: $2, want $3"; echo "$1: $2"; }

redis_up() {
  launch redis redis-server etc/redis.conf --bind 127.0.0.1 --port 16379 --dir "$dir/data" --aclfile "$dir/etc/users.acl"
  eventually 20 "Redis" as_rollcall ping
}
sandbox_up() {
  launch sandbox "$bin/worker" sandbox --listen 127.0.0.1:19090 --world world.yaml
  eventually 20 "the emulated platforms" curl -fsS http://127.0.0.1:19090/_sandbox/
}
# worker_up N: the N-th worker, with a web UI of its own.
worker_up() {
  sed "s/127.0.0.1:18081/127.0.0.1:1808$1/" rollcall.yaml >"worker$1.yaml"
  launch "worker$1" "$bin/worker" run --config "worker$1.yaml"
  eventually 30 "worker $1" curl -fsS "http://127.0.0.1:1808$1/readyz"
}

step "1. A directory for the trial: configuration, secrets, roster"
cd "$dir"
mkdir -m 700 etc secrets data
cp "$here/redis/redis.conf" etc/
cp "$here"/trial/*.yaml "$here/trial/roster.csv" .
umask 077
# Hexadecimal, so that the password needs no escapes in a URL.
password() { od -An -N 24 -tx1 /dev/urandom | tr -d ' \n'; }
password >secrets/redis-password
password >secrets/redis-admin-password
password >secrets/redis-producer-password
echo "redis://rollcall:$(cat secrets/redis-password)@127.0.0.1:16379/0" >secrets/redis-url
echo "redis://rollcall-producer:$(cat secrets/redis-producer-password)@127.0.0.1:16379/0" >secrets/producer-url
echo lakeside-app >secrets/lakeside-app-secret
echo lakeside-school >secrets/lakeside-school-secret
echo hillside-app >secrets/hillside-app-secret
echo hillside-school >secrets/hillside-school-secret
sh "$here/redis/acl.sh" secrets/redis-password secrets/redis-admin-password secrets/redis-producer-password >etc/users.acl
sed 's/#[0-9a-f]*/#…/' etc/users.acl

step "2. Redis with a password and an ACL user"
redis_up
must "without a password" "$(redis-cli -p 16379 ping 2>&1)" "NOAUTH Authentication required."
must "as rollcall" "$(as_rollcall ping)" PONG
must "as rollcall, FLUSHALL" "$(as_rollcall flushall 2>&1 | cut -d ' ' -f 1)" NOPERM
must "as rollcall, SCAN" "$(as_rollcall scan 0 2>&1 | cut -d ' ' -f 1)" NOPERM

step "3. Both platforms, emulated"
sandbox_up
cat sandbox.log

step "4. The configuration is judged"
show "$bin/worker" check --config rollcall.yaml
show "$bin/worker" check --config rollcall.yaml --connect

step "5. A worker, and a first task of every kind"
worker_up 1
# A file makes a run, which the smaller user may not plan; single tasks are its own.
bulk() { show env ROLLCALL_REDIS_URL_FILE=secrets/redis-url "$bin/enqueue" bulk "$@"; }
export ROLLCALL_REDIS_URL_FILE=secrets/producer-url
bulk roster.csv
show "$bin/enqueue" course --tenant lakeside-ci 501
show "$bin/enqueue" group --tenant hillside-dt --chat chat-office --name "Office 2"
show "$bin/enqueue" id --tenant hillside-dt --user wang wangfang01
eventually 30 "two nicknames" called updategroupnick 2
eventually 30 "a course" called modifyGroupMemberNickname 1
eventually 30 "a group" called group/update 1
eventually 30 "an ID" called dingTalkIds/change 1
echo "the platforms received 2 nicknames, 1 course, 1 group, 1 ID"

step "6. Everything is restarted"
show "$bin/enqueue" course --at +15s --tenant hillside-ci 601
echo "everything is stopped; the worker as a power failure would stop it"
quit worker1 KILL
quit redis
quit sandbox
redis_up
sandbox_up
worker_up 1
bulk roster.csv
eventually 60 "the course that was enqueued before the restart" called modifyGroupMemberNickname 1
must "calls for nicknames that were right before the restart" "$(calls updategroupnick)" 0

step "7. Three workers, and a schedule that fires every minute"
quit worker1
cat schedules.yaml >>rollcall.yaml
before=$(calls modifyGroupMemberNickname)
for n in 1 2 3; do worker_up "$n"; done
show "$bin/worker" check --config rollcall.yaml
# The ticks that were carried out, by name and time.
ticks() { as_rollcall zrange 'asynq:{rollcall.schedule}:completed' 0 -1 | grep "^$1@" | sort || true; }
ticked() { [ "$(ticks hillside-courses | wc -l)" -ge "$1" ]; }
eventually 200 "three ticks" ticked 3
# Long enough for a tick that ran twice to show, short enough for the next one not to come.
sleep 20
ticks lakeside-nicknames
ticks hillside-courses
n=$(ticks hillside-courses | wc -l)
must "calls for 2 courses at each of $n ticks" "$(($(calls modifyGroupMemberNickname) - before))" $((2 * n))
must "calls for the roster's nicknames, which were right" "$(calls updategroupnick)" 0
must "dead letters" "$(as_admin --scan --pattern 'asynq:*:archived' | grep -c . || true)" 0

step "8. All stop when asked"
for n in 1 2 3; do quit "worker$n"; done
must "workers that said they stopped" "$(grep -l '"worker stopped"' worker?.log | wc -l)" 3
echo
echo "the trial went as deploy/README.md says"
