/*
 * Compares controller/io/constants.ts with the system headers: the Makefile turns every constant there into a CHECK line of
 * uapi_checks.h. The layouts that address.ts and ancillary.ts write by hand are asserted below.
 */
#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/icmp.h>
#include <linux/icmpv6.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
/* After the C library's own headers, which it then only adds to: IPV6_FLOWINFO. */
#include <linux/in6.h>

/* netinet/udp.h has it for some C libraries only. */
#ifndef SOL_UDP
#define SOL_UDP IPPROTO_UDP
#endif

#define LAYOUT(type, field, offset) _Static_assert(offsetof(struct type, field) == (offset), #type "." #field)
#define SIZE(type, size) _Static_assert(sizeof(struct type) == (size), #type)

LAYOUT(sockaddr_in, sin_port, 2);
LAYOUT(sockaddr_in, sin_addr, 4);
SIZE(sockaddr_in, 16);
LAYOUT(sockaddr_in6, sin6_port, 2);
LAYOUT(sockaddr_in6, sin6_flowinfo, 4);
LAYOUT(sockaddr_in6, sin6_addr, 8);
LAYOUT(sockaddr_in6, sin6_scope_id, 24);
SIZE(sockaddr_in6, 28);
LAYOUT(sockaddr_nl, nl_pid, 4);
LAYOUT(sockaddr_nl, nl_groups, 8);
SIZE(sockaddr_nl, 12);
LAYOUT(sockaddr_ll, sll_protocol, 2);
LAYOUT(sockaddr_ll, sll_ifindex, 4);
LAYOUT(sockaddr_ll, sll_hatype, 8);
LAYOUT(sockaddr_ll, sll_pkttype, 10);
LAYOUT(sockaddr_ll, sll_halen, 11);
LAYOUT(sockaddr_ll, sll_addr, 12);
SIZE(sockaddr_ll, 20);
LAYOUT(sockaddr_un, sun_path, 2);
SIZE(sockaddr_un, 110);
LAYOUT(cmsghdr, cmsg_level, sizeof(size_t));
LAYOUT(cmsghdr, cmsg_type, sizeof(size_t) + 4);
SIZE(cmsghdr, sizeof(size_t) + 8);
_Static_assert(CMSG_SPACE(1) == sizeof(struct cmsghdr) + sizeof(size_t), "control messages are aligned to size_t");
LAYOUT(in6_pktinfo, ipi6_ifindex, 16);
SIZE(in6_pktinfo, 20);
LAYOUT(in_pktinfo, ipi_spec_dst, 4);
LAYOUT(in_pktinfo, ipi_addr, 8);
SIZE(in_pktinfo, 12);
LAYOUT(ipv6_mreq, ipv6mr_interface, 16);
SIZE(icmp6_filter, 32);

static int checked, wrong;

#define CHECK(name, value) \
  do { \
    checked++; \
    if ((long long)(name) != (long long)(value)) { \
      wrong++; \
      printf("%s is %lld in the system headers, %lld in constants.ts\n", #name, (long long)(name), (long long)(value)); \
    } \
  } while (0)

int main(void) {
#include "uapi_checks.h"
  printf("%d constants compared with the system headers, %d differ\n", checked, wrong);
  return wrong != 0 || checked == 0;
}
