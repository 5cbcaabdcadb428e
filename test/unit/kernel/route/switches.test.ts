/** What is told when switches cannot be turned: all of them, once, and only those. */
import t from "tap";
import {
  checkIpv6Enabled,
  checkSwitches,
  runsIpv6,
  type SwitchFiles,
} from "../../../../controller/kernel/route/switches.js";
import { sysctl } from "../../../../controller/plan/shared-objects.js";

const files = (values: Readonly<Record<string, string>>, refusal?: string): SwitchFiles => ({
  read: (path) => values[path],
  refusal: () => refusal,
});
const WANTED = [
  sysctl("net/ipv4/ip_forward", 1),
  sysctl("net/ipv6/conf/all/forwarding", 1),
  sysctl("net/ipv4/conf/dsmip-in4/rp_filter", 2),
  sysctl("net/ipv4/conf/dsmip-ou-c-64/rp_filter", 2),
  sysctl("net/ipv6/conf/eth0.7/proxy_ndp", 1),
];
const STANDING = {
  "net/ipv4/ip_forward": "0",
  "net/ipv6/conf/all/forwarding": "1",
  "net/ipv4/conf/all/rp_filter": "1",
  "net/ipv4/conf/default/rp_filter": "1",
  "net/ipv6/conf/eth0.7/proxy_ndp": "0",
};

t.test("one sentence lists them all, and what stands as wanted is not among them", (t) => {
  t.throws(() => checkSwitches(WANTED, files(STANDING, "EROFS")), {
    code: "MIP_MISSING",
    message:
      "switches of the kernel do not stand as dsmipd needs them, and cannot be set from here (/proc/sys is read-only); run outside of the " +
      "container, in its network namespace, or let the container be started with them: " +
      "sysctl -w net.ipv4.ip_forward=1 net.ipv4.conf.default.rp_filter=2 net/ipv6/conf/eth0.7/proxy_ndp=1",
  });
  t.doesNotThrow(() => checkSwitches(WANTED, files(STANDING)), "they can be set");
  const preset = { ...STANDING, "net/ipv4/ip_forward": "1", "net/ipv6/conf/eth0.7/proxy_ndp": "1" };
  t.throws(() => checkSwitches(WANTED, files(preset, "EACCES")), {
    message: /\(EACCES\).*sysctl -w net.ipv4.conf.default.rp_filter=2$/,
  });
  t.doesNotThrow(() => checkSwitches(WANTED, files({ ...preset, "net/ipv4/conf/default/rp_filter": "2" }, "EROFS")));
  const unfiltered = { "net/ipv4/conf/default/rp_filter": "0", "net/ipv4/conf/all/rp_filter": "0" };
  t.doesNotThrow(() => checkSwitches(WANTED, files({ ...preset, ...unfiltered }, "EROFS")), "no filter is as loose");
  t.end();
});

t.test("IPv6 that is switched off is told as that", (t) => {
  const six = (all: string, byDefault: string, lo = byDefault) =>
    files({
      "net/ipv6/conf/all/disable_ipv6": all,
      "net/ipv6/conf/default/disable_ipv6": byDefault,
      "net/ipv6/conf/lo/disable_ipv6": lo,
    });
  t.doesNotThrow(() => checkIpv6Enabled(six("0", "0")));
  t.doesNotThrow(() => checkIpv6Enabled(six("1", "0")), "devices have their own since");
  t.throws(() => checkIpv6Enabled(six("1", "1")), {
    message: /default.disable_ipv6 is 1 and .*run: sysctl -w net.ipv6.conf.all.disable_ipv6=0/,
  });
  t.ok(runsIpv6(six("1", "1")));
  t.notOk(runsIpv6(files({})));
  t.throws(() => checkIpv6Enabled(files({})), { message: /runs without IPv6; take ipv6.disable=1 off/ });
  t.end();
});
