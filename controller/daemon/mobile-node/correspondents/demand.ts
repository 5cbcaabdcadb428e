/**
 * The kernel's questions whom the home addresses send to: while an answer would lead to something it asks, about whom a path or a pause says
 * enough it does not, and it comes to ask again. Over IPv6 about everybody, over IPv4 about the correspondents that are known by both of
 * their addresses.
 */
import { type IpAddress, type Ipv4Address, type Ipv6Address, isIpv4 } from "../../../base/ip.js";
import type { KernelObject } from "../../../plan/objects/objects.js";
import { planSilence } from "../../../plan/route-optimisation/pair.js";
import { demandReqid, planDemand, planIpv4Demand } from "../../../plan/route-optimisation/site.js";
import type { MobileNodePlanSite } from "../../../plan/site.js";
import type { Whereabouts } from "../../../protocol/mip6/mobile-node/correspondents/inputs.js";
import type { CorrespondentsSite } from "../../../protocol/mip6/mobile-node/correspondents/machine.js";
import { ipv6Of } from "../../../protocol/mip6/mobile-node/correspondents/modes.js";
import type { ServiceGroups } from "../../groups.js";
import type { DirectStates } from "./ports.js";

export interface DemandParts {
  readonly site: CorrespondentsSite;
  readonly planSite: () => MobileNodePlanSite;
  readonly groups: Pick<ServiceGroups, "setGroup" | "removeGroup" | "commit">;
  /** Whether the kernel has a path to this correspondent, which says what a silence would. */
  readonly isDirect: (correspondent: Ipv6Address) => boolean;
}

/** Of groups whose answers nobody waits for. */
const UNASKED = 0;
const DEMAND_GROUP = "demand";
const SILENCE = "silence ";

export class NodeDemand {
  readonly #parts: DemandParts;
  readonly #silent = new Set<IpAddress>();
  /** Correspondents whose questions are in the way of the next one. */
  readonly #unanswered = new Set<IpAddress>();
  #states: DirectStates | undefined;
  #said: Whereabouts = { kind: "between" };
  /** The last one that was served. */
  #ipv4HomeAddress: Ipv4Address | undefined;
  #round = 0;
  #asks = false;
  #closed = false;

  constructor(parts: DemandParts) {
    this.#parts = parts;
  }

  static owns(group: string): boolean {
    return group === DEMAND_GROUP || group.startsWith(SILENCE);
  }

  /** With which questions are forgotten. */
  use(states: DirectStates): void {
    this.#states = states;
  }

  /** Where the node is; told to the kernel with `plan`. */
  see(whereabouts: Whereabouts): void {
    this.#said = whereabouts;
    if (whereabouts.kind === "away") this.#ipv4HomeAddress = whereabouts.ipv4HomeAddress ?? this.#ipv4HomeAddress;
  }

  /** Whether the question is one of ours: of which home address the demand policy was. */
  isOurs({ homeAddress, reqid }: { readonly homeAddress: IpAddress; readonly reqid: number }): boolean {
    const { site, planSite } = this.#parts;
    const isHome = homeAddress === site.homeAddress || homeAddress === this.#ipv4HomeAddress;
    return isHome && reqid === demandReqid(planSite());
  }

  /** Whether the kernel shall ask about this correspondent. */
  asksAbout(correspondent: Ipv6Address): boolean {
    return this.#isAsking && !this.#silent.has(correspondent);
  }

  groups(): ReadonlyMap<string, readonly KernelObject[]> {
    return new Map([
      ...[...this.#silent].map((one) => [SILENCE + one, this.#silenceObjects(one)] as const),
      [DEMAND_GROUP, this.#objects()],
    ]);
  }

  plan(): void {
    this.#parts.groups.setGroup(DEMAND_GROUP, this.#objects(), UNASKED);
    this.#parts.groups.commit();
  }

  silence(correspondent: IpAddress, silent: boolean): void {
    this.#silent[silent ? "add" : "delete"](correspondent);
    this.planSilence(correspondent);
  }

  /** After a path has come or gone. */
  planSilence(correspondent: IpAddress): void {
    this.#parts.groups.setGroup(SILENCE + correspondent, this.#silenceObjects(correspondent), UNASKED);
  }

  /** Once for all that want it in one turn of the event loop. */
  askAgain(unanswered: readonly IpAddress[] = []): void {
    for (const one of unanswered) this.#unanswered.add(one);
    if (this.#asks) return;
    this.#asks = true;
    setImmediate(() => void this.#ask());
  }

  /** Of silences nobody would know any more. */
  close(): void {
    for (const one of this.#silent) this.#parts.groups.removeGroup(SILENCE + one, UNASKED);
    this.#silent.clear();
    this.#closed = true;
  }

  /** The kernel is asked only where an answer leads to something. */
  #objects(): readonly KernelObject[] {
    const { site, planSite } = this.#parts;
    const said = this.#said;
    if (said.kind !== "away") return [];
    const known = site.ipv4?.correspondents ?? [];
    const four = said.ipv4HomeAddress;
    return [
      ...(!this.#isAsking ? [] : planDemand(site.homeAddress, planSite(), this.#round)),
      ...(four === undefined ? [] : planIpv4Demand(four, known, planSite(), this.#round)),
    ];
  }

  /** About IPv6: from an IPv4 network a path leads only to whom is known there. */
  get #isAsking(): boolean {
    const { site } = this.#parts;
    return this.#said.kind === "away" && (!isIpv4(this.#said.careOf) || site.ipv4 !== undefined);
  }

  /** A path says the same to the kernel, in its own way. */
  #silenceObjects(correspondent: IpAddress): readonly KernelObject[] {
    if (!this.#silent.has(correspondent) || this.#hasPath(correspondent)) return [];
    if (!isIpv4(correspondent)) return planSilence(this.#parts.site.homeAddress, correspondent);
    return this.#ipv4HomeAddress === undefined ? [] : planSilence(this.#ipv4HomeAddress, correspondent);
  }

  #hasPath(correspondent: IpAddress): boolean {
    const { site, isDirect } = this.#parts;
    const ipv6 = isIpv4(correspondent) ? ipv6Of(site, correspondent) : correspondent;
    return ipv6 !== undefined && isDirect(ipv6);
  }

  async #ask(): Promise<void> {
    const { homeAddress } = this.#parts.site;
    while (this.#unanswered.size > 0 && this.#states !== undefined) {
      const questions = [...this.#unanswered].filter((one) => !this.#hasPath(one));
      this.#unanswered.clear();
      const [four, six] = [questions.filter(isIpv4), questions.filter((one) => !isIpv4(one))];
      if (six.length > 0 || four.length === 0) await this.#states.forgetQuestions(homeAddress, six);
      if (four.length > 0 && this.#ipv4HomeAddress !== undefined)
        await this.#states.forgetQuestions(this.#ipv4HomeAddress, four);
    }
    this.#asks = false;
    if (this.#closed) return;
    this.#round += 1;
    this.plan();
  }
}
