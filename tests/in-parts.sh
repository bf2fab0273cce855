#!/usr/bin/env bash
# How do all tests run within minutes on two processors, with those that measure undisturbed?
#
#   tests/in-parts.sh MARKERS [ARGUMENTS OF PYTEST…]
#
# Tests marked `alone` measure time or load, one after the other; they mostly wait. The others run
# at the same time, three at once, on what those leave over: the kernel's idle class gives way to
# anything else at once. Their words follow at the end.
set -uo pipefail

chosen=${1:+" and ($1)"}
shift
: "${PYTEST:=pytest}" "${WORKERS:=3}"

yielding=(nice -n 19)
if chrt --idle 0 true 2>/dev/null; then yielding=(chrt --idle 0); fi
if setpriv --pdeathsig TERM true 2>/dev/null; then
  yielding=(setpriv --pdeathsig TERM "${yielding[@]}")  # they end with us
fi

end() {  # as Ctrl-C does, so that they end what they started; who is deaf to that is told again
  kill -INT -- "-$others" 2>/dev/null
  for _ in {1..100}; do kill -0 "$others" 2>/dev/null || return; sleep 0.2; done
  kill -TERM -- "-$others" 2>/dev/null
  wait "$others"
}

words=$(mktemp)
set -m  # a group of its own, which hears Ctrl-C as a program in front does
"${yielding[@]}" "$PYTEST" -m "not alone$chosen" -n "$WORKERS" \
  --dist loadfile --no-loadscope-reorder "$@" >"$words" 2>&1 &
others=$!
set +m
trap 'end; cat "$words"; rm -f "$words"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

"$PYTEST" -m "alone$chosen" "$@"
measured=$?
wait "$others"
rest=$?

# 5 is pytest's word for "nothing was chosen": right for one part, wrong for both.
case "$measured $rest" in
  "0 0" | "0 5" | "5 0") exit 0 ;;
  *) exit 1 ;;
esac
