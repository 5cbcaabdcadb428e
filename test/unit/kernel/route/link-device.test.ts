/** Tunnels bound to a device: how they are written, read, changed and told from others. */
import t from "tap";
import { ipv4 } from "../../../../controller/base/ip.js";
import type { KernelNames } from "../../../../controller/kernel/codec.js";
import { linkCodec } from "../../../../controller/kernel/route/link.js";
import { ENODEV } from "../../../../controller/netlink/errno.js";
import { KernelError } from "../../../../controller/netlink/errors.js";
import type { Link, SitLink } from "../../../../controller/plan/objects/forwarding.js";

const NAMES: KernelNames = {
  interfaceIndex(name) {
    if (name === "wan") return 2;
    throw new KernelError(ENODEV, { subject: name });
  },
  interfaceName: (index) => (index === 2 ? "wan" : undefined),
};
const ENDS: SitLink = {
  type: "sit",
  local: ipv4("192.0.2.1"),
  remote: ipv4("203.0.113.1"),
  ttl: 0,
  trafficClass: "inherit",
  pathMtuDiscovery: false,
};
const link = (spec: SitLink, name = "dsmip0"): Link => ({ kind: "link", name, mtu: 1400, up: false, link: spec });

t.test("round trip", (test) => {
  for (const spec of [ENDS, { ...ENDS, device: "wan" }]) {
    const [create] = linkCodec.create(link(spec), NAMES);
    test.strictSame(create && linkCodec.decode(create, NAMES, false), link(spec));
  }
  test.end();
});

t.test("a device that is not there", (test) => {
  test.throws(() => linkCodec.create(link({ ...ENDS, device: "lan" }), NAMES), KernelError);
  const [create] = linkCodec.create(link({ ...ENDS, device: "wan" }), NAMES);
  const decoded = create && linkCodec.decode(create, { ...NAMES, interfaceName: () => undefined }, false);
  test.match(decoded, { link: { device: "index 2" } }, "what it was bound to has vanished: not what anybody wants");
  test.end();
});

t.test("the same ends are another tunnel when one of the two is bound", (test) => {
  const excludes = (a: SitLink, b: SitLink): boolean | undefined => linkCodec.excludes?.(link(a), link(b, "dsmip1"));
  test.equal(excludes(ENDS, ENDS), true);
  test.equal(excludes(ENDS, { ...ENDS, device: "wan" }), false);
  test.equal(excludes({ ...ENDS, device: "wan" }, { ...ENDS, device: "wan" }), true);
  test.equal(linkCodec.update(link({ ...ENDS, device: "wan" }), link(ENDS), NAMES)?.length, 2, "changed in place");
  test.end();
});
