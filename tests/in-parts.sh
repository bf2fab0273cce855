#!/usr/bin/env bash
# How do all tests run within minutes on two processors, with those that measure undisturbed?
#
#   tests/in-parts.sh MARKERS [ARGUMENTS OF PYTEST…]
#
# Tests marked `alone` measure time or load, one after the other; they mostly wait. The others run
# at the same time, three at once, on what those leave over: when both want the processors, seven
# eighths go to those that measure; the rest keeps deadlines of seconds from being missed. Then
# follow those marked `quiet`: a load test of a whole shop is invalid where no processor is ever
# free. The words of the others come at the end.
#
# Environment: PYTEST, the program; WORKERS, how many at once; YIELD=no on a machine that somebody
# else keeps busy, where tests that yield would hardly run and miss their deadlines.
set -uo pipefail

chosen=${1:+" and ($1)"}
shift
: "${PYTEST:=pytest}" "${WORKERS:=3}" "${YIELD:=yes}"

# Where the kernel makes each session a group of its own (autogroup), niceness counts only within a
# session. Who may then makes one light group of all that runs beside; it is removed again.
group=
light_group() {
  local place=/sys/fs/cgroup/cpu
  grep -qx 1 /proc/sys/kernel/sched_autogroup_enabled 2>/dev/null || return
  grep -qE '^[0-9]+:(cpuacct,)?cpu(,cpuacct)?:/$' /proc/self/cgroup || return
  mkdir "$place/sre-tests-$$" 2>/dev/null || return
  group=$place/sre-tests-$$
  { echo 256 >"$group/cpu.shares"; } 2>/dev/null || { rmdir "$group"; group=; }
}

yielding=()
if [ "$YIELD" = yes ]; then
  yielding=(nice -n 10)
  light_group
fi
if setpriv --pdeathsig TERM true 2>/dev/null; then
  yielding=(setpriv --pdeathsig TERM "${yielding[@]}")  # they end with us
fi

beside() {
  if [ -n "$group" ]; then echo "$BASHPID" >"$group/cgroup.procs"; fi
  exec "${yielding[@]}" "$@"
}

end() {  # as Ctrl-C does, so that they end what they started; who is deaf to that is told again
  kill -INT -- "-$others" 2>/dev/null
  for _ in {1..100}; do kill -0 "$others" 2>/dev/null || break; sleep 0.2; done
  kill -TERM -- "-$others" 2>/dev/null
  wait "$others"
  cat "$words"
  rm -f "$words"
  if [ -n "$group" ]; then  # servers that were told to end may take a moment
    for _ in {1..50}; do rmdir "$group" 2>/dev/null && break; sleep 0.1; done
  fi
}

words=$(mktemp)
set -m  # a group of its own, which hears Ctrl-C as a program in front does
beside "$PYTEST" -m "not alone and not quiet$chosen" -n "$WORKERS" --dist loadfile --no-loadscope-reorder "$@" \
  >"$words" 2>&1 &
others=$!
set +m
trap end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

"$PYTEST" -m "alone$chosen" "$@"
measured=$?
wait "$others"
rest=$?
"$PYTEST" -m "quiet$chosen" "$@"
quiet=$?

# 5 is pytest's word for "nothing was chosen": right for a part, wrong for all.
case " $measured $rest $quiet " in
  " 5 5 5 ") exit 1 ;;
  *" "[!05]" "* | *" "[!05]* | *[0-9][0-9]*) exit 1 ;;
esac
