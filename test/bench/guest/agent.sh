#!/bin/bash
# The bench machine's side of the bus (a serial line): takes jobs, runs each, answers with its output and exit status.
# usage: agent.sh BUS REPOSITORY
# Host to here, one line each:  job TOKEN cell|open|shell BASE64-OF-SCRIPT   |   kill   |   halt
# From here: ^Aready SPACE LF once, then the job's raw output; ^A TOKEN " exit " STATUS LF, base64 of a tar of the artifacts, ^A TOKEN " end" LF.
# bash only: under emulation every program started costs tens of milliseconds. When the line ends, so does the machine.
bus=$1 here=$2/test/bench/guest artifacts=/var/tmp/dsmipd-artifacts
[ -c "$bus" ] || { echo "no bus at $bus"; exit 1; }
exec 3<>"$bus" || exit 1
[ -t 3 ] && stty raw -echo <&3

prepare() {  # prepare BASE64-OF-SCRIPT
  rm -rf "$artifacts" /run/bench-pid; mkdir -p "$artifacts"
  refresh_repository          # from the init script
  base64 -d <<< "$1" > /run/bench-job
}

finish() {  # finish TOKEN STATUS
  printf '\001%s exit %d\n' "$1" "$2" >&3
  [ -n "$(ls -A "$artifacts")" ] && tar -C "$artifacts" -cz . | base64 >&3
  printf '\001%s end\n' "$1" >&3
}

run_job() {  # run_job TOKEN cell|open: the output goes through a pipe, so that programs do not take the bus for a terminal
  {
    echo "$BASHPID" > /run/bench-pid
    if [ "$2" = cell ]; then exec "$here/cell.sh" bash -c "$(< /run/bench-job)"; else exec setsid -w bash /run/bench-job; fi
  } < /dev/null 2>&1 3>&- | cat >&3
  finish "$1" "${PIPESTATUS[0]}"
}

kill_job() {  # an open job leads a process group; a cell's namespaces die with its first process
  until [ -s /run/bench-pid ]; do kill -0 "$job" 2> /dev/null || return; sleep 0.05; done   # it has only just been started
  local pid; pid=$(< /run/bench-pid)
  kill -KILL -- "-$pid" 2> /dev/null || kill -KILL "$pid" 2> /dev/null
}

printf '\001ready \n' >&3
while read -r verb token mode script <&3; do
  case $verb in
    job)
      prepare "$script"
      if [ "$mode" = shell ]; then
        script -qefc "bash /run/bench-job" /dev/null <&3 >&3 2>&1 3>&-
        finish "$token" $?
      else
        run_job "$token" "$mode" & job=$!
      fi ;;
    kill) kill_job ;;
    halt) break ;;
  esac
done
