/** From which addresses a node asks for its home agent. */
import t from "tap";
import { visitedAddresses } from "../../../../../controller/daemon/mobile-node/discovery/visited.js";
import { mobileNodeConfig } from "../../../../../schemas/config/mobile-node.js";

const addresses = () =>
  ({
    lo: [{ address: "127.0.0.1" }, { address: "::1" }],
    lan0: [{ address: "10.1.0.1" }, { address: "2001:db8:100::1" }],
    wlan0: [{ address: "fe80::1" }, { address: "2001:db8:a::5" }, { address: "10.0.0.5" }],
    wwan0: [{ address: "2001:db8:b::5" }, { address: "2001:db8:1::100" }],
    "dsmip-t": [{ address: "192.0.0.8" }],
  }) as unknown as ReturnType<NonNullable<Parameters<typeof visitedAddresses>[2]>>;

const node = (further: object) =>
  mobileNodeConfig.shape.mobileNode.parse({
    ...{ homeAddress: "2001:db8:1::100", homePrefixes: ["2001:db8:1::/64"], homeAgent: { domain: "example.org" } },
    ...further,
  });

t.test("of links by which it may attach, in their order, and never from behind itself", (test) => {
  const prefixes = ["2001:db8:100::/56", "10.1.0.0/24"];
  test.strictSame(visitedAddresses(6, node({ prefixes }), addresses), ["2001:db8:a::5", "2001:db8:b::5"]);
  test.strictSame(visitedAddresses(4, node({ prefixes }), addresses), ["10.0.0.5"]);
  const interfaces = ["wwan0", "wlan0", "eth7"];
  test.strictSame(visitedAddresses(6, node({ interfaces }), addresses), ["2001:db8:b::5", "2001:db8:a::5"]);
  test.strictSame(visitedAddresses(4, node({ interfaces: ["wwan0"] }), addresses), []);
  test.end();
});
