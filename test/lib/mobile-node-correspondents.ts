/** A mobile node's machine for correspondents in the middle of its procedures, which takes any octets for what a correspondent says. */
import { type IpAddress, ipv4, ipv6, parsePrefix } from "../../controller/base/ip.js";
import { instant, seconds } from "../../controller/base/time.js";
import type { Arrival } from "../../controller/protocol/mip6/inputs.js";
import type {
  CorrespondentsEffect,
  CorrespondentsInput,
} from "../../controller/protocol/mip6/mobile-node/correspondents/inputs.js";
import {
  type CorrespondentsState,
  initialCorrespondents,
  step,
} from "../../controller/protocol/mip6/mobile-node/correspondents/machine.js";
import { decodeMobilityMessage } from "../../controller/wire/mip6/messages/mobility-header.js";
import type { MobilityMessage } from "../../controller/wire/mip6/messages/mobility-message.js";
import { RO_PROFILE } from "../../controller/wire/mip6/profile.js";

const [HOA, HA, CN, COA] = ["2001:db8:1::10", "2001:db8:1::1", "2001:db8:c::2", "2001:db8:f::2"].map(ipv6) as [
  ReturnType<typeof ipv6>,
  ReturnType<typeof ipv6>,
  ReturnType<typeof ipv6>,
  ReturnType<typeof ipv6>,
];
const [HOA4, CN4, COA4] = [ipv4("192.0.2.10"), ipv4("203.0.113.2"), ipv4("198.51.100.7")] as const;
const NOW = instant(1_000_000);
/** Of every test, so that the corpus can answer them. */
const COOKIE = new Uint8Array(8).fill(5);
const everywhere = parsePrefix("::/0");

const native = { type: "native", device: "up0" } as const;
const OVER_IPV4 = { type: "udp", outerSource: CN4, outerPort: 4191, outerDestination: COA4 } as const;
const WAYS: readonly { readonly path: Arrival["path"]; readonly destination: typeof HOA }[] = [
  { path: native, destination: HOA },
  { path: native, destination: COA },
  { path: { ...native, routingHeaderHomeAddress: HOA }, destination: HOA },
  { path: OVER_IPV4, destination: HOA },
];

class Machine {
  state: CorrespondentsState;

  constructor() {
    const limits = { minimumAge: seconds(0), maximum: 4, idle: seconds(120), grace: seconds(3) };
    const pair = { ipv6: CN, ipv4: CN4 };
    this.state = initialCorrespondents({
      ...{ homeAddress: HOA, homeAgent: HA, allow: everywhere === undefined ? [] : [everywhere], deny: [], ...limits },
      ipv4: { correspondents: [pair], mode: "ipv4-encapsulation", natKeepalive: seconds(110) },
    });
  }

  /** The kernel does as it is told. */
  give(input: CorrespondentsInput): readonly CorrespondentsEffect[] {
    const { state, effects } = step(this.state, input, NOW, () => COOKIE);
    this.state = state;
    const more = effects.flatMap((effect) => {
      if (effect.kind !== "direct-path") return [];
      const { homeAddress, correspondent, revision } = effect.path;
      return this.give({ kind: "programmed", homeAddress, correspondent, revision });
    });
    return [...effects, ...more];
  }

  hear(message: MobilityMessage, way: (typeof WAYS)[number], throughHomeAgent = false): void {
    const arrival: Arrival = { ...way, source: CN, protection: "none" };
    this.give({ kind: "message", arrival, message, throughHomeAgent, isAuthorized: () => false });
  }
}

/** Both home addresses, in their tests or with updates that wait for an answer. */
function under(careOf: IpAddress, tested: boolean): CorrespondentsState {
  const machine = new Machine();
  machine.give({ kind: "whereabouts", whereabouts: { kind: "away", careOf, ipv4HomeAddress: HOA4 } });
  for (const correspondent of [CN, CN4]) {
    const sent = machine.give({ kind: "demand", homeAddress: HOA, correspondent });
    if (!tested) continue;
    for (const effect of sent) {
      if (effect.kind !== "send" || effect.message.type === "unknown") continue;
      const { message, departure } = effect;
      const tokens = { cookie: COOKIE, nonceIndex: 1, keygenToken: COOKIE };
      const [, atCareOf, , overIpv4] = WAYS;
      const options = message.options;
      if (message.type === "home-test-init")
        machine.hear({ type: "home-test", ...tokens, options }, { path: native, destination: HOA }, true);
      if (message.type === "care-of-test-init" && atCareOf !== undefined && overIpv4 !== undefined)
        machine.hear(
          { type: "care-of-test", ...tokens, options },
          departure.type === "over-ipv4" ? overIpv4 : atCareOf,
        );
    }
  }
  if (machine.state.entries.size !== 2) throw new Error("no procedures are under way");
  return machine.state;
}

const STATES = [COA, COA4].flatMap((careOf) => [under(careOf, false), under(careOf, true)]);

/** Throws if the machine does, or believes an acknowledgement that nobody has authenticated. */
export function takeAsMobileNode(octets: Uint8Array): void {
  const read = decodeMobilityMessage(octets, { profile: RO_PROFILE });
  if (!read.ok) return;
  for (const state of STATES)
    for (const way of WAYS)
      for (const throughHomeAgent of way === WAYS[0] ? [false, true] : [false]) {
        const machine = new Machine();
        machine.state = state;
        machine.hear(read.value, way, throughHomeAgent);
        for (const { binding } of machine.state.entries.values())
          if (binding !== undefined) throw new Error("a binding that nobody has authenticated");
        for (const { path } of machine.state.pairs.values())
          if (path?.path.stage === "bound") throw new Error("payload goes where nobody has agreed to");
      }
}
