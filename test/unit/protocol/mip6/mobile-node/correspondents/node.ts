/** A mobile node's machine for correspondents, with a kernel that does as it is told and a correspondent that says what the test wants. */
import {
  type IpAddress,
  type Ipv6Address,
  ipv4,
  ipv6,
  isIpv4,
  parsePrefix,
} from "../../../../../../controller/base/ip.js";
import { after, type Instant, instant, seconds } from "../../../../../../controller/base/time.js";
import type { Arrival } from "../../../../../../controller/protocol/mip6/inputs.js";
import type {
  CorrespondentRecord,
  CorrespondentSendEffect,
  CorrespondentsEffect,
  CorrespondentsInput,
  DirectPath,
  KeygenTokens,
  Whereabouts,
} from "../../../../../../controller/protocol/mip6/mobile-node/correspondents/inputs.js";
import {
  type CorrespondentsSite,
  initialCorrespondents,
  nextDeadline,
  step,
} from "../../../../../../controller/protocol/mip6/mobile-node/correspondents/machine.js";
import type {
  BindingUpdate,
  MobilityMessage,
} from "../../../../../../controller/wire/mip6/messages/mobility-header.js";
import { bindingAcknowledgementFlags } from "../../../../../../controller/wire/mip6/messages/registration.js";

export const HOA = ipv6("2001:db8:1::10");
export const HA = ipv6("2001:db8:1::1");
export const CN = ipv6("2001:db8:c::2");
export const COA = ipv6("2001:db8:f::2");
export const COA4 = ipv4("198.51.100.7");
export const COA2 = ipv6("2001:db8:e::2");

const prefix = (text: string) => {
  const parsed = parsePrefix(text);
  if (parsed === undefined) throw new Error(text);
  return parsed;
};

export const HOA4 = ipv4("192.0.2.10");
export const CN4 = ipv4("203.0.113.2");
/** With IPv4 route optimisation towards CN. */
export const IPV4 = {
  ipv4: {
    correspondents: [{ ipv6: CN, ipv4: CN4 }],
    mode: "ipv4-encapsulation",
    natKeepalive: seconds(110),
  },
} as const;

export const SITE: CorrespondentsSite = {
  homeAddress: HOA,
  homeAgent: HA,
  allow: [prefix("::/0")],
  deny: [prefix("2001:db8:dead::/48")],
  minimumAge: seconds(0),
  maximum: 3,
  idle: seconds(120),
  grace: seconds(3),
};

export class Node {
  now: Instant = instant(1000);
  readonly sent: CorrespondentSendEffect[] = [];
  readonly events: string[] = [];
  readonly drops: string[] = [];
  readonly effects: CorrespondentsEffect[] = [];
  path: DirectPath | undefined;
  record: CorrespondentRecord | null = null;
  silent = new Set<IpAddress>();
  /** The kernel answers at once. */
  obeys = true;
  #state;
  #cookie = 0;

  constructor(site: Partial<CorrespondentsSite> = {}) {
    this.#state = initialCorrespondents({ ...SITE, ...site });
  }

  get state() {
    return this.#state;
  }

  give(input: CorrespondentsInput): this {
    const next = step(this.#state, input, this.now, () => new Uint8Array(8).fill(++this.#cookie));
    this.#state = next.state;
    const answers: CorrespondentsInput[] = [];
    for (const effect of next.effects) {
      this.effects.push(effect);
      if (effect.kind === "send") this.sent.push(effect);
      if (effect.kind === "drop") this.drops.push(effect.reason);
      if (effect.kind === "notify") this.events.push(effect.event.event);
      if (effect.kind === "journal") this.record = effect.record;
      if (effect.kind === "silence") this.silent[effect.silent ? "add" : "delete"](effect.correspondent);
      if (effect.kind === "no-direct-path") this.path = undefined;
      if (effect.kind === "direct-path") {
        this.path = effect.path;
        const { homeAddress, correspondent, revision } = effect.path;
        if (this.obeys) answers.push({ kind: "programmed", homeAddress, correspondent, revision });
      }
    }
    for (const answer of answers) this.give(answer);
    return this;
  }

  /** Time passes, and timers fire when they are due. */
  wait(duration: number): this {
    const end = after(this.now, seconds(duration));
    for (let i = 0; i < 10_000; i++) {
      const due = nextDeadline(this.#state, this.now);
      if (due === undefined || due > end) {
        this.now = end;
        return this;
      }
      if (due > this.now) this.now = due;
      this.give({ kind: "timer" });
    }
    throw new Error("timers fire without end");
  }

  at(whereabouts: Whereabouts): this {
    return this.give({ kind: "whereabouts", whereabouts });
  }

  demand(correspondent: IpAddress = CN): this {
    return this.give({ kind: "demand", homeAddress: HOA, correspondent });
  }

  used(lastUsedAgoSeconds: number): this {
    return this.give({ kind: "used", homeAddress: HOA, correspondent: CN, lastUsedAgoSeconds });
  }

  /** What has left since the last call, by type. */
  took(): readonly CorrespondentSendEffect[] {
    return this.sent.splice(0);
  }

  types(): readonly string[] {
    return this.took().map(({ message }) => message.type);
  }

  hears(message: MobilityMessage, changes: Partial<Omit<Heard, "message">> = {}): this {
    const { source = CN, destination = HOA, throughHomeAgent = false, path, authorized = true } = changes;
    const arrival: Arrival = {
      path: path ?? { type: "native", device: "up0" },
      source,
      destination,
      protection: "none",
    };
    const isAuthorized = typeof authorized === "boolean" ? () => authorized : authorized;
    return this.give({ kind: "message", arrival, message, throughHomeAgent, isAuthorized });
  }

  homeTest(cookie: Uint8Array, changes: Partial<Heard> = {}, nonceIndex = 7): this {
    const keygenToken = new Uint8Array(8).fill(0xa0);
    const message = { type: "home-test", nonceIndex, cookie, keygenToken, options: [] } as const;
    return this.hears(message, { throughHomeAgent: true, ...changes });
  }

  careOfTest(cookie: Uint8Array, changes: Partial<Heard> = {}, nonceIndex = 9): this {
    const keygenToken = new Uint8Array(8).fill(0xb0);
    const message = { type: "care-of-test", nonceIndex, cookie, keygenToken, options: [] } as const;
    const careOf = [...this.#state.entries.values()][0]?.careOf;
    const destination = careOf === undefined || isIpv4(careOf) ? COA : careOf;
    return this.hears(message, { destination, ...changes });
  }

  /** The correspondent answers all tests that have left. */
  passTests(): this {
    for (const { message } of this.took()) {
      if (message.type === "home-test-init") this.homeTest(message.cookie);
      if (message.type === "care-of-test-init") this.careOfTest(message.cookie);
    }
    return this;
  }

  acknowledge(
    update: BindingUpdate,
    changes: { status?: number; units?: number; sequence?: number } = {},
    heard: Partial<Heard> = {},
  ): this {
    const { status = 0, units = update.lifetimeUnits, sequence = update.sequence } = changes;
    const path = { type: "native", device: "up0", routingHeaderHomeAddress: HOA } as const;
    return this.hears(
      {
        type: "binding-acknowledgement",
        status,
        flags: bindingAcknowledgementFlags(),
        sequence: sequence as BindingUpdate["sequence"],
        lifetimeUnits: units,
        options: [],
      },
      { path, ...heard },
    );
  }

  /** The update that has just left. */
  update(): BindingUpdate {
    const update = this.took().find(({ message }) => message.type === "binding-update");
    if (update?.message.type !== "binding-update") throw new Error("no update has left");
    return update.message;
  }

  bind(): this {
    this.at({ kind: "away", careOf: COA }).demand().passTests();
    return this.acknowledge(this.update());
  }
}

interface Heard {
  readonly source: Ipv6Address;
  readonly destination: Ipv6Address;
  readonly throughHomeAgent: boolean;
  readonly path: Arrival["path"];
  readonly authorized: boolean | ((tokens: KeygenTokens, careOf: IpAddress) => boolean);
}
