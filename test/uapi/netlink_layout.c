/* Offsets and sizes of the fixed headers that controller/netlink/message.ts and controller/kernel/headers.ts write by hand. */
#include <stddef.h>
#include <stdio.h>
#include <sys/socket.h>

#include <linux/fib_rules.h>
#include <linux/genetlink.h>
#include <linux/if_addr.h>
#include <linux/neighbour.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#define FIELD(type, field) printf(#type " " #field " %zu %zu\n", offsetof(struct type, field), sizeof(((struct type *)0)->field))
#define SIZE(type) printf(#type " size %zu\n", sizeof(struct type))

int main(void) {
  SIZE(nlmsghdr);
  FIELD(nlmsghdr, nlmsg_len);
  FIELD(nlmsghdr, nlmsg_type);
  FIELD(nlmsghdr, nlmsg_flags);
  FIELD(nlmsghdr, nlmsg_seq);
  FIELD(nlmsghdr, nlmsg_pid);
  SIZE(ifinfomsg);
  FIELD(ifinfomsg, ifi_family);
  FIELD(ifinfomsg, ifi_type);
  FIELD(ifinfomsg, ifi_index);
  FIELD(ifinfomsg, ifi_flags);
  FIELD(ifinfomsg, ifi_change);
  SIZE(ifaddrmsg);
  FIELD(ifaddrmsg, ifa_family);
  FIELD(ifaddrmsg, ifa_prefixlen);
  FIELD(ifaddrmsg, ifa_flags);
  FIELD(ifaddrmsg, ifa_scope);
  FIELD(ifaddrmsg, ifa_index);
  SIZE(rtmsg);
  FIELD(rtmsg, rtm_family);
  FIELD(rtmsg, rtm_dst_len);
  FIELD(rtmsg, rtm_src_len);
  FIELD(rtmsg, rtm_tos);
  FIELD(rtmsg, rtm_table);
  FIELD(rtmsg, rtm_protocol);
  FIELD(rtmsg, rtm_scope);
  FIELD(rtmsg, rtm_type);
  FIELD(rtmsg, rtm_flags);
  SIZE(fib_rule_hdr);
  FIELD(fib_rule_hdr, family);
  FIELD(fib_rule_hdr, dst_len);
  FIELD(fib_rule_hdr, src_len);
  FIELD(fib_rule_hdr, tos);
  FIELD(fib_rule_hdr, table);
  FIELD(fib_rule_hdr, action);
  FIELD(fib_rule_hdr, flags);
  SIZE(ndmsg);
  FIELD(ndmsg, ndm_family);
  FIELD(ndmsg, ndm_ifindex);
  FIELD(ndmsg, ndm_state);
  FIELD(ndmsg, ndm_flags);
  FIELD(ndmsg, ndm_type);
  SIZE(genlmsghdr);
  SIZE(nfgenmsg);
  SIZE(rtnexthop);
  FIELD(rtnexthop, rtnh_len);
  FIELD(rtnexthop, rtnh_flags);
  FIELD(rtnexthop, rtnh_ifindex);
  return 0;
}
