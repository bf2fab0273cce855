# What is done on a node of a cluster, by any POSIX shell on Linux, with nothing else installed.
# sh -c TEXT sre ACTION ENGINE DATA PORT UNIT USER LIMIT ETC [the action's own arguments]
# LIMIT is hundredths of a second. The last line of standard error is "sre:HOW CODE".
set -u
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin
action=$1 engine=$2 data=$3 port=$4 unit=$5 user=$6 limit=$7 etc=$8
shift 8
mark=$data/sre-fenced

end() { # HOW CODE [WORDS]
  how=$1 code=$2
  shift 2
  [ -z "$*" ] || printf '%s\n' "$*" >&2
  printf '\nsre:%s %s\n' "$how" "$code" >&2
  exit 0
}

[ -r /proc/self/stat ] || end usage 0 'it has no /proc: only Linux can be controlled in this way'
case $engine in
postgres) names=' postgres postmaster edb-postgres ' ;;
mariadb) names=' mariadbd mysqld ' ;;
redis) names=' redis-server valkey-server keydb-server ' ;;
*) end usage 0 "the processes of the engine $engine are not known" ;;
esac

now() { read -r up idle </proc/uptime && at=${up%.*}${up#*.}; }
now
last=$((at + limit))
late() { now && [ "$at" -ge "$last" ]; }
pause() { sleep 0.003 2>/dev/null || sleep 1; }

look() { # PID -> state, parent; fails when it is gone
  state='' parent=''
  { read -r line <"/proc/$1/stat"; } 2>/dev/null || return 1
  set -- ${line##*) }
  state=$1 parent=$2
}

living() { look "$1" && case $state in [ZXx]) false ;; esac; }

title() { tr '\0' ' ' <"/proc/$1/cmdline" 2>/dev/null; }

served() { # PID -> number: the port that a Redis says in its title; empty: it says none
  words=$(title "$1")
  number=${words#* }
  number=${number%% *}
  number=${number##*:}
  case $number in *[!0-9]*) number='' ;; esac
  case $words in *'[sentinel]'* | *' --sentinel'*) number=sentinel ;; esac
}

belongs() { # PID: it works in data, but a Redis may share its folder with others
  [ "$engine" = redis ] || return 0
  served "$1"
  [ "$number" != sentinel ] || return 1
  [ "$port" != 0 ] && [ -n "$number" ] && [ "$number" != "$port" ] || return 0
  odd="pid $1 has the folder $data and serves port $number, not $port: give each Redis its own folder"
  return 1
}

stranger() { # PID: it works elsewhere, or in a folder that has been removed since
  if [ "$(readlink "/proc/$1/cwd" 2>/dev/null)" = "$data (deleted)" ]; then
    [ "/proc/$1/ns/mnt" -ef /proc/self/ns/mnt ] && take "$1"
  elif [ "$engine" = redis ] && [ "$port" != 0 ]; then
    served "$1"
    [ "$number" != "$port" ] || [ ! "/proc/$1/ns/net" -ef /proc/self/ns/net ] ||
      odd="pid $1 serves port $port, but its folder is not $data: mend data_dir"
  fi
  return 0
}

unseen() { # PID: it has no cwd: it is ending, its files are closed; or we may not look
  myself
  [ "$me" != 0 ] && living "$1" && holder=$(stat -c %u "/proc/$1" 2>/dev/null) || return 0
  [ "$holder" != "$me" ] || return 0
  [ "$holder" != 0 ] && [ "$holder" != "$(stat -L -c %u -- "$data" 2>/dev/null)" ] ||
    odd="it may not be seen whose process pid $1 is: look as root or as the owner of $data"
}

take() {
  found="$found $1"
  look "$1" || return 0
  case $state in [Tt]) stopped="$stopped $1" ;; esac
  [ "$engine" = mariadb ] && { read -r name <"/proc/$parent/comm"; } 2>/dev/null || return 0
  case $name in mysqld_safe | mariadbd-safe) guards="$guards $parent" ;; esac
}

scan() { # -> found, stopped: its processes; guards: who would start it again; odd
  found='' stopped='' guards='' odd=''
  for file in /proc/[0-9]*; do # a zombie has no cwd
    [ "$file/cwd" -ef "$data" ] && { read -r name <"$file/comm"; } 2>/dev/null || continue
    pid=${file#/proc/}
    case $names in *" $name "*) ! belongs "$pid" || take "$pid" ;; esac
  done
  [ -n "$found" ] || search
  [ -z "$found" ] || odd=''
}

search() { # among those that do not work in data
  others=''
  for file in $(printf '%s\n' $names | grep -lxFf - /proc/[0-9]*/comm 2>/dev/null); do
    file=${file%/comm}
    if [ "$file/cwd" -ef "$data" ]; then
      continue
    elif [ -e "$file/cwd" ]; then
      others="$others $file/cwd"
    else
      unseen "${file#/proc/}"
    fi
  done
  [ -z "$others" ] || case $engine:$(readlink $others 2>/dev/null) in
  redis:* | *"$data (deleted)"*)
    for file in $others; do
      file=${file#/proc/}
      stranger "${file%/cwd}"
    done
    ;;
  esac
  [ -n "$odd" ] || [ -e /proc/1 ] || [ -O "$data" ] || { myself && [ "$me" = 0 ]; } ||
    odd="/proc hides the processes of others: look as root or as the owner of $data"
}

settled() { # nothing of it is left, and that is certain
  scan
  [ -z "$odd" ] || end usage 0 "$odd"
  [ -z "$found" ]
}

send() { # SIGNAL PIDS
  signal=$1
  shift
  for pid; do
    kill -s "$signal" "$pid" 2>/dev/null || ! living "$pid" || kill -s "$signal" "$pid" 2>/dev/null ||
      ! living "$pid" || end usage 0 "not allowed to signal pid $pid: act as root or as its owner"
  done
}

heads() { # -> tops: those whose parent is none of them; childless: tops without children
  tops='' childless='' parents=''
  for pid in $found; do
    look "$pid" || continue
    parents="$parents $parent"
    case " $found " in *" $parent "*) ;; *) tops="$tops $pid" ;; esac
  done
  main=''
  [ "$engine" != postgres ] || { read -r main <"$data/postmaster.pid"; } 2>/dev/null
  heads=''
  for pid in $tops; do
    case " $main $parents " in *" $pid "*) heads="$heads $pid" ;; *) childless="$childless $pid" ;; esac
  done
}

halt() { # MODE: ask it to stop
  heads
  case $engine:$1 in
  postgres:fast) send INT $heads && send QUIT $childless ;;
  postgres:*) send QUIT $tops ;;
  *:fast) send TERM $tops ;;
  *) send KILL $guards $found ;;
  esac
}

drain() { # MODE or kill: until nothing of it is left; again from time to time, for a MariaDB
  rounds=0 # that comes up does not hear SIGTERM, and a killed server may have left a new child
  while :; do
    left=''
    for pid in $found; do
      [ ! -e "/proc/$pid/cwd" ] || left="$left $pid"
    done
    found=$left rounds=$((rounds + 1))
    if [ -z "$found" ]; then
      settled && return 0
      rounds=0
    fi
    case $1:$rounds in
    kill:0) send KILL $guards $found ;;
    kill:*) ;;
    *:*00) halt "$1" ;;
    esac
    ! late || end transient 0 "still there when the time was over: pid$found"
    pause
  done
}

quietly() { words=$(systemctl "$@" 2>&1); }

manage() { quietly "$@" || end failed 0 "systemctl $*: $words"; }

myself() { # -> me: the user's number, without a program
  while read -r key me other; do
    [ "$key" != Uid: ] || return 0
  done </proc/$$/status
}

account() { # -> name, own, home of the owner; empty: it has none
  while IFS=: read -r name x uid own x home x; do
    [ "$uid" != "$owner" ] || return 0
  done </etc/passwd
  IFS=: read -r name x uid own x home x <<EOF
$(getent passwd "$owner" 2>/dev/null)
EOF
}

who() { # -> me, owner, group: who acts, and as whom the service's programs run
  myself
  if [ -n "$user" ]; then
    owner=$(id -u -- "$user" 2>/dev/null) || end usage 0 "there is no user $user"
    group=$(id -g -- "$user")
    return
  fi
  place=$data
  while [ -n "$place" ] && [ ! -e "$place" ]; do place=${place%/*}; done
  read -r owner group <<EOF
$(stat -L -c '%u %g' -- "${place:-/}")
EOF
  [ "$place" = "$data" ] || [ "$owner" != 0 ] || [ "$me" != 0 ] ||
    end usage 0 "$data does not exist, so its owner is not known: name the user"
}

as_owner() { # COMMAND …: becomes it
  cd /
  [ "$me" = 0 ] && [ "$owner" != 0 ] || exec "$@"
  account
  HOME=${home:-/} USER=${name:-$owner} LOGNAME=${name:-$owner}
  export HOME USER LOGNAME
  tool=$(command -v setpriv)
  if [ -n "$tool" ] && [ ! -L "$tool" ]; then # the one of busybox is a link, and knows less
    [ -n "$name" ] || exec setpriv --reuid "$owner" --regid "$group" --clear-groups -- "$@"
    exec setpriv --reuid "$owner" --regid "$own" --init-groups -- "$@"
  fi
  for tool in su-exec gosu; do
    ! command -v $tool >/dev/null || exec $tool "$owner:${own:-$group}" "$@"
  done
  exec runuser -u "$name" -- "$@"
}

programs() { # PostgreSQL's own place, when it is not on the PATH
  [ "$engine" = postgres ] && { read -r version <"$data/PG_VERSION"; } 2>/dev/null || return 0
  PATH=$PATH:/usr/lib/postgresql/$version/bin:/usr/pgsql-$version/bin
}

debian() { # -> cluster: the folder in which Debian configures data; empty: it does not
  cluster=''
  [ "$engine" = postgres ] || return 0
  for conf in "$etc"/*/*/postgresql.conf; do
    place=$(sed -n "s/^[[:space:]]*data_directory[[:space:]]*=*[[:space:]]*'\(.*\)'.*/\1/p" "$conf" 2>/dev/null | tail -n 1)
    [ -z "$place" ] || [ ! "$place" -ef "$data" ] || cluster=${conf%/*}
  done
}
