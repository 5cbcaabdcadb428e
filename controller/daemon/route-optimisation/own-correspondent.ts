/**
 * A mobile node as the correspondent of others (RFC 6275 §8.2, §9), at one home address: the correspondent node's service within the node's.
 * It lives as long as that, hears what the node's sockets hear, and its paths go into the groups of pairs that both have.
 */
import { asCorrespondent, type MobileNodeConfig } from "../../../schemas/config/mobile-node.js";
import type { CorrespondentDocument } from "../../../schemas/control.js";
import { hostPrefix, type Ipv6Address } from "../../base/ip.js";
import { seconds } from "../../base/time.js";
import type { KernelObject } from "../../plan/objects/objects.js";
import { planCorrespondentPath } from "../../plan/route-optimisation/pair.js";
import { planCorrespondentSite } from "../../plan/route-optimisation/site.js";
import type { Arrival, OptionRefusedInput } from "../../protocol/mip6/inputs.js";
import type { GroupResult } from "../../reconcile/reconciler.js";
import type { MobilityMessage } from "../../wire/mip6/messages/mobility-message.js";
import { randomBeginning } from "../correspondent-node/role.js";
import { CorrespondentNodeService } from "../correspondent-node/service.js";
import { type ServiceGround, type ServiceRecords, SITE_GROUP } from "../service.js";
import type { SignallingListener } from "../signalling/signalling.js";
import type { PairGroups } from "./pair-groups.js";

/** What was sent from a former care-of address is on its way for no longer. */
const FORMER_GRACE = seconds(3);
const GROUP = "as correspondent";
/** Of keys in the journal; no other key of the node's begins so. */
const RECORD = "bound:";

export class OwnCorrespondent {
  readonly #homeAddress: Ipv6Address;
  readonly #ground: ServiceGround;
  readonly #service: CorrespondentNodeService;
  #listener: SignallingListener | undefined;
  #siteObjects: readonly KernelObject[] = [];

  /** Undefined: the configuration does not want it. */
  static of(config: MobileNodeConfig, ground: ServiceGround, pairs: PairGroups): OwnCorrespondent | undefined {
    const wishes = asCorrespondent(config);
    return wishes && new OwnCorrespondent(config, wishes, ground, pairs);
  }

  private constructor(
    { mobileNode: { homeAddress, homeAgent } }: MobileNodeConfig,
    { maximumLifetimeSeconds, ...wishes }: NonNullable<ReturnType<typeof asCorrespondent>>,
    ground: ServiceGround,
    pairs: PairGroups,
  ) {
    this.#homeAddress = homeAddress;
    this.#ground = ground;
    const addresses = [homeAddress];
    const site = {
      ...{ ...wishes, addresses, formerGrace: FORMER_GRACE, maximumLifetime: seconds(maximumLifetimeSeconds) },
      // What the home agent itself says has policies of its own.
      deny: [...wishes.deny, hostPrefix(homeAgent.ipv6)],
    };
    this.#service = new CorrespondentNodeService({
      site,
      beginning: randomBeginning(),
      plans: {
        site: () => planCorrespondentSite({ addresses, homeAddresses: addresses }),
        path: planCorrespondentPath,
        ownerOf: () => undefined,
      },
      ground: {
        ...ground,
        records: recordsOf(ground.records),
        listen: (_, listener) => {
          this.#listener = listener;
          return () => undefined;
        },
      },
      paths: {
        set: (path) => pairs.set("bound", path.homeAddress, path, path.revision),
        remove: (pair, revision) => pairs.set("bound", pair.homeAddress, undefined, revision),
      },
    });
    pairs.onAnswered("bound", (other, revision, failure) =>
      this.#service.programmed({ homeAddress: other, self: homeAddress }, revision, failure),
    );
  }

  /** Takes up what the journal kept, before the groups of pairs are asked for; returned are its own. */
  prepare(): ReadonlyMap<string, readonly KernelObject[]> {
    this.#siteObjects = this.#service.prepare().get(SITE_GROUP) ?? [];
    return this.groups();
  }

  listen(): void {
    this.#service.listen();
  }

  begin(): void {
    this.#service.begin();
  }

  /** Whether the message is one that a correspondent answers. */
  hears(message: MobilityMessage, arrival: Arrival, octets: Uint8Array): boolean {
    const isOurs = arrival.destination === this.#homeAddress && ANSWERED.has(message.type);
    if (isOurs) this.#listener?.onMessage(message, arrival, octets);
    return isOurs;
  }

  /** Whether the packet was for this home address. */
  optionRefused(packet: Omit<OptionRefusedInput, "kind">): boolean {
    const isOurs = packet.destination === this.#homeAddress;
    if (isOurs) this.#listener?.onOptionRefused?.(packet);
    return isOurs;
  }

  /** Whether the group is its own; the pairs' answers come by the pairs. */
  onGroupResult({ group, failure }: GroupResult): boolean {
    if (group === GROUP && failure !== undefined)
      this.#ground.log.error({ event: "object.failed", group, reason: failure.message });
    return group === GROUP;
  }

  /** By their names, without those of the pairs. */
  groups(): ReadonlyMap<string, readonly KernelObject[]> {
    return new Map([[GROUP, this.#siteObjects]]);
  }

  view(): readonly CorrespondentDocument[] {
    return this.#service.views.correspondents?.() ?? [];
  }

  /** Takes leave of who is bound. */
  stop(): Promise<void> {
    return this.#service.close();
  }

  /** Without a word: who comes after it takes the bindings up. */
  close(): void {
    this.#service.abandon();
  }
}

const ANSWERED: ReadonlySet<MobilityMessage["type"]> = new Set([
  "home-test-init",
  "care-of-test-init",
  "binding-update",
]);

/** The node's own keys have no blanks where its service is the first one. */
function recordsOf(records: ServiceRecords): ServiceRecords {
  return {
    *entries() {
      for (const [key, stored] of records.entries())
        if (key.startsWith(RECORD)) yield [key.slice(RECORD.length).replaceAll("|", " "), stored];
    },
    onWritable: (listener) => records.onWritable(listener),
    append: (key, record) => records.append(RECORD + key.replaceAll(" ", "|"), record),
  };
}
