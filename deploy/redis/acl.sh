#!/bin/sh
# Prints the ACL file of rollcall's Redis:
#
#   sh acl.sh PASSWORD_FILE [ADMIN_PASSWORD_FILE [PRODUCER_PASSWORD_FILE]]
#
# PASSWORD_FILE holds the password of the user rollcall, under which workers, the command rollcall and
# enqueue bulk log in. The second file is that of the user admin, for backups and maintenance, the third
# that of the user rollcall-producer, for producers of tasks and the other commands of enqueue. The user
# default is off: without a password no client can log in. Passwords appear as SHA-256 sums alone.
set -eu

# Without it the sums would be empty, and Redis would refuse the file.
command -v sha256sum >/dev/null || { echo "acl.sh: sha256sum is missing; install coreutils" >&2; exit 2; }

sum() {
  [ -s "$1" ] || { echo "acl.sh: $1 is empty or missing; put the password into it" >&2; exit 2; }
  # The line end is not part of the password: rollcall drops it, too.
  tr -d '\r\n' <"$1" | sha256sum | cut -d ' ' -f 1
}

[ $# -ge 1 ] || { echo "usage: sh acl.sh PASSWORD_FILE [ADMIN_PASSWORD_FILE [PRODUCER_PASSWORD_FILE]]" >&2; exit 2; }
rollcall=$(sum "$1")
admin=
[ $# -lt 2 ] || admin=$(sum "$2")
producer=
[ $# -lt 3 ] || producer=$(sum "$3")

# The user default is off, and yet may do everything: Redis replays its AOF as that user, and drops
# each transaction that the user may not run (7.0.15 does so, with no more than a line in its log).
echo "user default off resetpass ~* &* +@all"
# The rights of docs/redis.md.
rights="~asynq:* ~rollcall:* resetchannels &asynq:cancel &rollcall:* -@all +ping +client|setname +info +wait +time +eval +evalsha +multi +exec +publish +subscribe +del +exists +expire +expireat +pexpire +type +memory|usage +get +getrange +incr +incrby +mget +set +setex +setrange +hdel +hexists +hget +hgetall +hincrby +hlen +hmget +hscan +hset +hsetnx +hstrlen +hvals +llen +lpos +lpush +lrange +lrem +ltrim +rpoplpush +rpush +sadd +sismember +smembers +srem +zadd +zcard +zcount +zlexcount +zmscore +zrange +zrangebyscore +zrank +zrem +zremrangebyrank +zremrangebyscore +zrevrange +zrevrangebylex +zscan +zscore +xadd +xrevrange +command +asking +cluster|slots +cluster|info +cluster|nodes +cluster|keyslot"
echo "user rollcall on #$rollcall $rights"
[ -z "$admin" ] || echo "user admin on #$admin ~* &* +@all"
rights="~asynq:queues ~asynq:{*}:t:* ~asynq:{*}:pending ~asynq:{*}:scheduled %R~asynq:{*}:retry %R~rollcall:lanes ~rollcall:rows:* ~rollcall:key:* ~rollcall:{*}:target:* ~rollcall:{*}:edits:* ~rollcall:{*}:tasks ~rollcall:{*}:ended:* ~rollcall:{*}:runs ~rollcall:{*}:run:* ~rollcall:{*}:floor ~rollcall:{*}:targets %R~rollcall:{*}:effects:* %R~rollcall:{*}:doubts %R~rollcall:{*}:changed resetchannels -@all +ping +client|setname +time +eval +evalsha +exists +pexpire +type +get +getrange +incrby +set +setrange +hdel +hexists +hget +hgetall +hmget +hset +lpush +sadd +sismember +zadd +zrem +zremrangebyscore +zscore +command +asking +cluster|slots"
[ -z "$producer" ] || echo "user rollcall-producer on #$producer $rights"
