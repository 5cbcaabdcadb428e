/** When two kernel objects count as the same. */
import t from "tap";
import { ipv6, parsePrefix } from "../../../../controller/base/ip.js";
import { Secret } from "../../../../controller/base/secret.js";
import { objectsEqual } from "../../../../controller/plan/objects/equal.js";
import type { Route } from "../../../../controller/plan/objects/forwarding.js";
import type { KernelObject } from "../../../../controller/plan/objects/objects.js";
import type { XfrmState } from "../../../../controller/plan/objects/security.js";

const ROUTE: Route = {
  kind: "route",
  destination: parsePrefix("2001:db8::/32") ?? { address: ipv6("::"), length: 0 },
  table: 254,
  metric: 100,
  device: "dsmip0",
};
const state = (key: readonly number[]): XfrmState => ({
  kind: "xfrm-state",
  source: ipv6("::"),
  destination: ipv6("::"),
  reqid: 1,
  transform: {
    type: "esp",
    spi: 256,
    mode: "transport",
    aead: { algorithm: "a", key: new Secret(Uint8Array.from(key)), icvLength: 16 },
    replayWindow: 0,
  },
});

t.test("the order of fields and unset optional ones mean nothing", (t) => {
  t.ok(objectsEqual(ROUTE, { ...ROUTE, onlink: false }));
  t.ok(objectsEqual({ ...ROUTE, onlink: false }, ROUTE));
  const { kind, ...rest } = ROUTE;
  t.ok(objectsEqual(ROUTE, { ...rest, kind }));
  t.end();
});

t.test("every difference counts", (t) => {
  const others: readonly KernelObject[] = [
    { ...ROUTE, metric: 101 },
    { ...ROUTE, onlink: true },
    { ...ROUTE, mtu: 1400 },
    { ...ROUTE, destination: { ...ROUTE.destination, length: 33 } },
    { kind: "sysctl", path: "a", value: "1" },
  ];
  for (const other of others) {
    t.notOk(objectsEqual(ROUTE, other));
    t.notOk(objectsEqual(other, ROUTE));
    t.ok(objectsEqual(other, { ...other }));
  }
  t.end();
});

t.test("lists by their elements, keys by their octets", (t) => {
  const element = (key: readonly number[]): KernelObject => ({ kind: "nft-element", set: "s", key });
  t.ok(objectsEqual(element([1, 2]), element([1, 2])));
  t.notOk(objectsEqual(element([1, 2]), element([1, 2, 3])));
  t.notOk(objectsEqual(element([1, 2]), element([2, 1])));
  t.ok(objectsEqual(state([1, 2]), state([1, 2])));
  t.notOk(objectsEqual(state([1, 2]), state([1, 3])));
  t.end();
});
