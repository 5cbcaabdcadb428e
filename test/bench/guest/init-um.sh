#!/bin/bash
# First process inside User Mode Linux. The root is this machine's own through hostfs, read-only; we lay a tmpfs over it.
# usage: init-um.sh REPOSITORY
repository=$1
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
if [ "$2" != inside ]; then
  mount -t tmpfs none /mnt && mkdir -p /mnt/upper /mnt/work /mnt/root
  mount -t overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work none /mnt/root
  exec chroot /mnt/root "$0" "$repository" inside
fi
mount -t proc none /proc; mount -t sysfs none /sys; mount -t tmpfs none /run; mount -t devtmpfs none /dev
mkdir -p /dev/pts /dev/net /dev/shm; mount -t devpts none /dev/pts; mount -t tmpfs none /dev/shm
[ -c /dev/net/tun ] || mknod /dev/net/tun c 10 200
ln -sf /proc/self/fd /dev/fd; hostname bench; ip link set lo up
mount -t hostfs -o "$repository",ro none "$repository"   # not through the overlay, which would not see files that change on the host
refresh_repository() { :; }; modprobe() { :; }; export -f refresh_repository modprobe   # hostfs is fresh; all modules are built in
"$repository/test/bench/guest/agent.sh" /dev/ttyS0 "$repository"
sync; halt -f
