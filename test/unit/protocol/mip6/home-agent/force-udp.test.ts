/** UDP that the node has asked for, and UDP that the home agent wants (RFC 5555 §3.1.3, §3.2.2): of all, and of one subscriber. */
import t from "tap";
import type { ForceUdp } from "../../../../../controller/protocol/mip6/home-agent/site.js";
import { findOption } from "../../../../../controller/wire/mip6/options/mobility.js";
import { BindingStatus } from "../../../../../controller/wire/mip6/registry.js";
import {
  COA,
  COA4,
  HA,
  HA4,
  HOA,
  HOA4,
  HomeAgentHarness,
  native,
  option32,
  PRIVATE4,
  subscribers,
  udp,
} from "../../../../sim/home-agent-harness.js";

function registered(all: ForceUdp, own: ForceUdp | undefined, asked: boolean) {
  const harness = new HomeAgentHarness({
    forceUdp: all,
    subscribers: subscribers([{ homeAddress: HOA, ipv4HomeAddress: HOA4, profile: "default", forceUdp: own }]),
  });
  const answer = harness.update(udp(COA4), { sequence: 1, flags: { forceUdp: asked }, options: [option32(COA4)] });
  const option = findOption(answer?.options ?? [], "nat-detection");
  return { status: answer?.status, format: harness.view()?.endpoint?.format, told: option?.forceUdp };
}

t.test("always: UDP without being asked, and the answer says so; the subscriber's own word counts", async (test) => {
  const forced = { status: 0, format: "udp", told: true };
  const plain = { status: 0, format: "ipv4", told: false };
  test.strictSame(registered("grant", undefined, false), plain);
  test.strictSame(registered("grant", "always", false), forced);
  test.strictSame(registered("always", undefined, false), forced);
  test.strictSame(registered("always", undefined, true), forced);
  test.strictSame(registered("always", "grant", false), plain);
  test.strictSame(registered("refuse", "grant", true), forced);
  test.match(registered("grant", "refuse", true), { status: BindingStatus.forcedUdpNotSupported });
  test.strictSame(registered("always", "refuse", false), plain);
});

t.test("over IPv6 there is nothing to force", async (test) => {
  const harness = new HomeAgentHarness({ forceUdp: "always" });
  test.match(harness.update(native(COA), { sequence: 1 }), { status: 0 });
  test.match(harness.view(), { endpoint: { format: "ipv6" } });
});

t.test(
  "behind a static NAT neither address is a care-of address, and the IKE SA moves at the one on this machine",
  async (test) => {
    const harness = new HomeAgentHarness({
      addresses: { ipv6: HA, ipv4: HA4, ipv4Local: PRIVATE4 },
      keyManagementMobility: true,
    });
    for (const [i, address] of [HA4, PRIVATE4].entries())
      test.match(harness.update(udp(address), { sequence: i + 1, options: [option32(address)] }), {
        status: BindingStatus.invalidCareOfAddress,
      });
    const flags = { keyManagementMobility: true };
    harness.update(native(COA), { sequence: 3, flags });
    harness.update(udp(COA4), { sequence: 4, flags, options: [option32(COA4)] });
    test.match(harness.effects("key-management-moved"), [{ local: PRIVATE4, remote: COA4 }]);
  },
);
