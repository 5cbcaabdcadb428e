#!/bin/bash
# The bench machine's side of the bus (a serial line): takes jobs, runs each, answers with its output and exit status.
# usage: agent.sh BUS REPOSITORY
# Host to here, one line each:  job TOKEN cell|open BASE64-OF-SCRIPT   |   kill   |   halt
# From here: ^Aready SPACE LF once, then the job's raw output; ^A TOKEN " exit " STATUS LF, base64 of a tar of the artifacts, ^A TOKEN " end" LF.
# bash only: under emulation every program started costs tens of milliseconds.
bus=$1 repository=$2 here=$2/test/bench/guest artifacts=/var/tmp/dsmipd-artifacts
exec 3<>"$bus" || exit 1
stty raw -echo <&3

run_job() {
  local token=$1 mode=$2 script=$3 status
  rm -rf "$artifacts"; mkdir -p "$artifacts"
  declare -F refresh_repository > /dev/null && refresh_repository
  printf %s "$script" | base64 -d > /run/bench-job
  {
    echo "$BASHPID" > /run/bench-pid
    if [ "$mode" = cell ]; then exec "$here/cell.sh" bash -c "$(< /run/bench-job)"; else exec setsid -w bash -c "$(< /run/bench-job)"; fi
  } < /dev/null 2>&1 3>&- | cat >&3
  status=${PIPESTATUS[0]}
  printf '\001%s exit %d\n' "$token" "$status" >&3
  [ -n "$(ls -A "$artifacts")" ] && tar -C "$artifacts" -cz . | base64 >&3
  printf '\001%s end\n' "$token" >&3
}

printf '\001ready \n' >&3
while read -r verb token mode script <&3; do
  case $verb in
    job) run_job "$token" "$mode" "$script" & ;;
    kill) [ -f /run/bench-pid ] && kill -KILL "$(< /run/bench-pid)" ;;
    halt) break ;;
  esac
done
