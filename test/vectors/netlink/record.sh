#!/bin/sh
# Records the netlink vectors anew, from what this kernel and this iproute2 and nft say. As root, on a kernel with sit, ip6tnl, fou,
# ESP, Mobile IPv6 and nftables: test/bench/run test/vectors/netlink/record.sh, which leaves the files in artifacts/.
# Without the bench: record.sh DIRECTORY. Recorded files are compared by eye before they replace the old ones.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
to=${1:-${DSMIPD_ARTIFACTS:?name a directory}}
export PYTHONDONTWRITEBYTECODE=1
cd "$here"
for part in rtnetlink raw-links xfrm nft; do
  case $part in
    rtnetlink) command="python3 record_rtnetlink.py" ;;
    raw-links) command="python3 record_rtnetlink.py raw" ;;
    *) command="python3 record.py $part" ;;
  esac
  # A namespace for each: what one makes is not there for the next.
  unshare -n sh -c "ip link set lo up; $command" > "$to/$part.json"
  echo "$to/$part.json"
done
