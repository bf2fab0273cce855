# One file of a node is read, replaced or removed.
# sh -c TEXT sre OWNER ACTION PATH MASK MODE SIZE; the last line of standard error is "sre:HOW CODE".
set -u
owner=$1 action=$2 path=$3 mask=$4 mode=$5 size=$6

end() { # HOW CODE [WORDS]
  how=$1 code=$2
  shift 2
  [ -z "$*" ] || printf '%s\n' "$*" >&2
  printf '\nsre:%s %s\n' "$how" "$code" >&2
  exit 0
}

absent() { # it is not there, and we may say so
  place=${path%/*}
  while [ -n "$place" ] && [ ! -e "$place" ] && [ ! -L "$place" ]; do place=${place%/*}; done
  [ ! -d "${place:-/}" ] || [ -x "${place:-/}" ] || end usage 0 "not allowed to look into $place"
}

do_read() {
  [ -e "$path" ] || { absent && end absent 0; }
  [ -f "$path" ] || end usage 0 "$path is not a regular file"
  [ -r "$path" ] || end usage 0 "not allowed to read $path"
  cat -- "$path" || { [ -e "$path" ] || end absent 0; end failed 0 "cannot read $path"; }
  end done 0
}

do_write() {
  [ ! -L "$path" ] || path=$(readlink -f -- "$path") || end usage 0 "$path is a link that leads nowhere"
  folder=${path%/*}
  folder=${folder:-/}
  [ -d "$folder" ] || { absent && end usage 0 "there is no folder $folder"; }
  [ ! -d "$path" ] || end usage 0 "$path is a folder"
  [ -w "$folder" ] && [ -x "$folder" ] || end usage 0 "not allowed to write in $folder"
  for old in "$folder"/.sre-draft-*; do # of a writer that was killed
    [ ! -e "$old" ] || [ -e "/proc/${old##*-}" ] || rm -f -- "$old"
  done
  draft=$folder/.sre-draft-$$
  trap 'rm -f -- "$draft"' EXIT
  trap 'exit 1' HUP INT TERM
  umask "$mask"
  (set -C && exec cat >"$draft") || end failed 0 "cannot write in $folder"
  got=$(wc -c <"$draft") && [ "$got" -eq "$size" ] ||
    end transient 0 "only ${got:-0} of $size bytes of $path arrived; nothing was changed"
  { [ -z "$mode" ] || chmod "$mode" "$draft"; } && { [ -z "$owner" ] || chown "$owner" "$draft"; } && { sync "$draft" || sync; } &&
    mv -f -- "$draft" "$path" || end failed 0 "cannot replace $path"
  sync "$folder" || sync
  end done 0
}

do_remove() {
  [ -e "$path" ] || [ -L "$path" ] || { absent && end done 0; }
  [ -L "$path" ] || [ ! -d "$path" ] || end usage 0 "$path is a folder; only a file is removed"
  rm -f -- "$path" || end usage 0 "cannot remove $path"
  sync "${path%/*}/" || sync
  end done 0
}

"do_$action"
