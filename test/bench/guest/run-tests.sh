#!/bin/bash
# Runs compiled test files inside a bench machine, each in a process and a cell of its own, so that a hung or crashed file cannot take
# the others with it. Prints each file's output in one piece between "# bench-begin FILE" and "# bench-end STATUS MILLISECONDS".
# First the yardstick: "# bench-load FACTOR", by which all time limits are longer on a machine that has other work ($DSMIPD_LOAD, if known).
# usage: run-tests.sh AT-A-TIME LIMIT-SECONDS FILE ...
export here=$(dirname "$0") limit=$2 at_a_time=$1 scratch
scratch=$(mktemp -d); shift 2
all_artifacts=$DSMIPD_ARTIFACTS; export all_artifacts
DSMIPD_LOAD=${DSMIPD_LOAD:-$("$NODE" "${1%%/test/kernel/*}/test/kernel/lib/print-load.js")}; export DSMIPD_LOAD
printf '# bench-load %s\n' "$DSMIPD_LOAD"
limit=${limit}0 limit=$((limit * ${DSMIPD_LOAD/./} / 100))

milliseconds() {  # since the machine was started: a test may set the clock on the wall
  local up; read -r up _ < /proc/uptime; echo $((10#${up/./} * 10))
}
one() {
  local file=$1 name started status
  started=$(milliseconds)
  name=${file##*test/kernel/} name=${name%.test.js} name=${name//\//-}   # two folders may have files of one name
  export DSMIPD_ARTIFACTS=$all_artifacts/$name
  [[ $file == */bundle/* ]] || local maps=--enable-source-maps   # those of bundles are read outside: reading them takes long here
  timeout -s KILL "$limit" "$here/cell.sh" "$NODE" $maps "$file" > "$scratch/$name.out" 2>&1 < /dev/null
  status=$?
  {
    flock 9
    printf '# bench-begin %s\n' "$file"; cat "$scratch/$name.out"
    printf '\n# bench-end %d %d\n' "$status" $(($(milliseconds) - started))
  } 9> "$scratch/lock"
  rm "$scratch/$name.out"
}
export -f one milliseconds
printf '%s\0' "$@" | xargs -0 -P "$at_a_time" -I '{}' bash -c 'one "$1"' one '{}'
rm -rf "$scratch"
