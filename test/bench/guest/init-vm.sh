#!/bin/bash
# First process of the vm bench after its initial ramdisk (vm-initrd): this machine's root, with a tmpfs over it.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
repository=$(dirname "$(dirname "$(dirname "$(dirname "$0")")")")
mount -t tmpfs none /run
mkdir -p /dev/pts /dev/shm /dev/net; [ -c /dev/net/tun ] || mknod /dev/net/tun c 10 200
mount -t devpts none /dev/pts; mount -t tmpfs none /dev/shm
ln -sf /proc/self/fd /dev/fd; hostname bench; ip link set lo up
# The repository not through the overlay and mounted anew for each job: so files that change on the host are seen.
refresh_repository() {
  umount -l "$repository" 2> /dev/null
  mount -t 9p -o ro,trans=virtio,version=9p2000.L,msize=512000,cache=loose repository "$repository"
}
export -f refresh_repository
modprobe -a fou fou6   # the modules that do not load by themselves
/bin/bash "$repository/test/bench/guest/agent.sh" /dev/vport*p1 "$repository"
echo o > /proc/sysrq-trigger
