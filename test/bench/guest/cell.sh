#!/bin/bash
# Runs a command in fresh mount, network and process namespaces, so that whatever it leaves behind (namespaces under /run/netns,
# daemons, sysctls, nftables tables) is gone when it ends, in every kind of bench alike.
# usage: cell.sh COMMAND ARGUMENT...
exec unshare --mount --net --pid --fork --kill-child=KILL --mount-proc bash -c '
  mount -t sysfs none /sys && mount -t tmpfs none /run && mkdir -p /run/netns /run/lock && ip link set lo up && exec "$@"' cell "$@"
