
do_life() {
  scan
  [ -z "$odd" ] || end done 0 "unknown: $odd"
  if [ -z "$found" ]; then
    [ -d "$data" ] || end done 0 "dead: no process of it runs, and there is no folder $data"
    end done 0 'dead: no process of it runs'
  fi
  printf '%s\n' "$found"
  [ "$found" != "$stopped" ] || end done 0 'frozen: all of its processes are stopped'
  [ -z "$stopped" ] || end done 0 "alive: but stopped are pid$stopped"
  [ "$engine" != postgres ] || heads
  [ "$engine" != postgres ] || [ -n "$heads" ] || end done 0 'alive: its postmaster is gone, others are left'
  end done 0 'alive: it runs'
}

do_stop() { # MODE
  ! settled || [ -n "$unit" ] || end done 0
  [ -z "$unit" ] || manage stop --no-block -- "$unit"
  halt "$1"
  drain "$1"
  end done 0
}

do_kill() {
  [ -z "$unit" ] || quietly stop --no-block -- "$unit"
  [ -z "$unit" ] || quietly kill -s SIGKILL -- "$unit"
  settled && end done 0
  send KILL $guards $found
  drain kill
  end done 0
}

risen() { # whether its process is there and will not end at once, as far as can be seen
  scan
  case $engine:$found in
  postgres:*' '*' '*) ;; # it has its port and its lock, for it has children
  postgres:* | *:) return 1 ;;
  esac
}

do_start() { # LOG PROGRAM …
  [ ! -e "$mark" ] || end refused 0 "$mark says that it must not be started; unmask it first"
  scan
  [ -z "$odd" ] || end usage 0 "$odd"
  [ -z "$found" ] || [ "$found" != "$stopped" ] || end failed 0 "its processes are frozen: pid$found"
  [ -z "$found" ] || end done 0
  [ -d "$data" ] || end usage 0 "there is no folder $data"
  [ -z "$unit" ] || by_unit
  by_hand "$@"
}

by_unit() {
  manage start --no-block -- "$unit"
  while ! risen; do
    ! quietly is-failed --quiet -- "$unit" || end failed 0 "the unit $unit failed; see journalctl -u $unit"
    ! late || end transient 0 "the unit $unit has no process yet"
    pause
  done
  end done 0
}

stale() { # nothing of it runs, so its lock files, with the pid of a zombie or of somebody else, lie
  { { read -r pid && read -r x && read -r x && read -r number && read -r place; } <"$data/postmaster.pid"; } 2>/dev/null
  [ -n "${pid-}" ] && [ -e "/proc/$pid" ] || return 0
  lock=${place-}/.s.PGSQL.${number-}.lock
  { read -r x <"$lock"; } 2>/dev/null && [ "$x" = "$pid" ] || lock=''
  (as_owner rm -f -- "$data/postmaster.pid" "${lock:-$data/postmaster.pid}")
}

by_hand() { # LOG PROGRAM …
  log=$1
  shift
  who
  programs
  [ "$1" != mariadbd ] || command -v mariadbd >/dev/null || { shift && set -- mysqld "$@"; }
  command -v "$1" >/dev/null || end usage 0 "there is no program $1; give its folder as bin_dir"
  [ "$engine" != postgres ] || stale
  debian
  [ -z "$cluster" ] || [ -e "$data/postgresql.conf" ] || set -- "$@" -c "config_file=$cluster/postgresql.conf"
  if [ "$me" = 0 ] && [ ! -e "$log" ] && [ ! -L "$log" ] && [ -O "${log%/*}/" ]; then
    (umask 077 && set -C && : >"$log") 2>/dev/null && chown "$owner:$group" "$log"
  fi
  (
    exec </dev/null >/dev/null 2>&1
    as_owner setsid sh -c 'log=$1; shift; [ ! -d "${log%/*}" ] || exec >>"$log" 2>&1; exec "$@"' sre "$log" "$@"
  ) &
  child=$!
  while ! risen; do
    if ! living "$child"; then
      wait "$child"
      code=$?
      [ "$code" = 0 ] || end failed 0 "$1 ended with $code: $(tail -n 3 "$log" 2>/dev/null)"
    fi
    ! late || end transient 0 'its process has not come up yet'
    pause
  done
  end done 0
}

do_mask() {
  who
  if [ -d "$data" ]; then
    (as_owner sh -c ': >>"$1" && { sync "$1" || sync; }' sre "$mark") 2>/dev/null
    [ -e "$mark" ] || end usage 0 "cannot write $mark: act as root or as its owner"
  fi
  debian
  if [ -n "$cluster" ] && [ ! -e "$cluster/start.conf.sre-saved" ]; then
    (as_owner sh -c 'cd "$1" && cp -p start.conf start.conf.sre-new && mv start.conf.sre-new start.conf.sre-saved &&
      echo disabled >start.conf' sre "$cluster") || end usage 0 "cannot write $cluster/start.conf"
  fi
  if [ -n "$unit" ] && ! quietly mask -- "$unit"; then
    # a unit that stands in /etc itself cannot be masked; a condition in its drop-in does the same
    drop=/etc/systemd/system/$unit.d
    case $unit in *.*) ;; *) drop=/etc/systemd/system/$unit.service.d ;; esac
    mkdir -p -- "$drop" && printf '[Unit]\nConditionPathExists=!/\n' >"$drop/sre-fenced.conf" ||
      end failed 0 "systemctl mask $unit: $words"
    manage daemon-reload
  fi
  end done 0
}

do_unmask() {
  who
  (as_owner rm -f -- "$mark") || end usage 0 "cannot remove $mark"
  debian
  if [ -n "$cluster" ] && [ -e "$cluster/start.conf.sre-saved" ]; then
    (as_owner mv -f -- "$cluster/start.conf.sre-saved" "$cluster/start.conf") ||
      end usage 0 "cannot write $cluster/start.conf"
  fi
  [ -n "$unit" ] || end done 0
  case $unit in *.*) drop=/etc/systemd/system/$unit.d ;; *) drop=/etc/systemd/system/$unit.service.d ;; esac
  if [ -e "$drop/sre-fenced.conf" ]; then
    rm -f -- "$drop/sre-fenced.conf" || end failed 0 "cannot remove $drop/sre-fenced.conf"
    manage daemon-reload
  fi
  manage unmask -- "$unit"
  end done 0
}

do_run() { # TOKEN SECONDS PROGRAM …: variables come first on standard input, to a line TOKEN
  token=$1 seconds=$2
  shift 2
  if [ -n "$token" ]; then
    text=''
    while IFS= read -r line && [ "$line" != "$token" ]; do
      text="$text$line
"
    done
    [ "$line" = "$token" ] || end transient 0 'the connection broke'
    eval "$text"
    unset text
  fi
  who
  programs
  command -v "$1" >/dev/null || end usage 0 "there is no program $1; give its folder as bin_dir"
  if [ "$seconds" != 0 ] && command -v timeout >/dev/null; then
    (as_owner timeout -k 2 "$seconds" "$@")
  else
    (as_owner "$@")
  fi
  end done $?
}

do_file() { # TEXT ACTION PATH MASK MODE SIZE: as the owner, save in a folder that is root's alone
  text=$1
  shift
  who
  place=${2%/*}
  while [ -n "$place" ] && [ ! -e "$place" ]; do place=${place%/*}; done
  holder=$owner
  [ "$place" = "$data" ] && [ -z "$user" ] || holder=$(stat -L -c %u -- "${place:-/}")
  if [ "$me" = 0 ] && [ "$holder" = 0 ]; then
    exec sh -c "$text" sre "$owner:$group" "$@"
  fi
  as_owner sh -c "$text" sre '' "$@"
}

do_check() { # PROGRAM
  who
  programs
  [ -d "$data" ] || echo "there is no folder $data"
  [ "$me" = 0 ] || [ "$me" = "$owner" ] ||
    echo "we act as uid $me, but $data belongs to uid $owner: act as root (sudo) or as that user"
  [ "$owner" != 0 ] || [ "$engine" != postgres ] || echo "$data belongs to root, and PostgreSQL does not run as root"
  for tool in cat chmod grep mv readlink rm sed sleep stat sync tail tr wc; do
    command -v $tool >/dev/null || echo "there is no program $tool"
  done
  [ "$me" != 0 ] || [ "$owner" = 0 ] || command -v setpriv >/dev/null || command -v runuser >/dev/null ||
    command -v su-exec >/dev/null || command -v gosu >/dev/null ||
    echo 'there is no program setpriv (package util-linux), with which root becomes the owner'
  if [ -n "$unit" ]; then
    if ! command -v systemctl >/dev/null; then
      echo "there is no systemctl, but service names the unit $unit"
    elif ! quietly cat -- "$unit"; then
      echo "there is no unit $unit"
    fi
  else
    command -v setsid >/dev/null || echo 'there is no program setsid (package util-linux)'
    command -v "$1" >/dev/null || { [ "$1" = mariadbd ] && command -v mysqld >/dev/null; } ||
      echo "there is no program $1; give its folder as bin_dir"
  fi
  [ ! -e "$mark" ] || echo "$mark says that it must not be started (sre failover unmasks it when it rejoins)"
  end done 0
}

"do_$action" "$@"
