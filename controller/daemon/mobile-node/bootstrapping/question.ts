/** Asks home agents for the node's home addresses, through the IKE daemon, until one has told them; at once again in another network. */
import { type MobileNodeConfig, TO_BE_FOUND } from "../../../../schemas/config/mobile-node.js";
import type { MobileNodeIke } from "../../../../schemas/security.js";
import { type Family, familyOf, type IpAddress } from "../../../base/ip.js";
import { mobileNodeBootstrap } from "../../../ike/bootstrapping.js";
import { type Credentials, loadCredentials } from "../../../ike/credentials.js";
import { askHomeAddresses, type HomeAddresses } from "../../../ike/home-addresses.js";
import type { Logger } from "../../../log.js";
import type { SetTimer } from "../../../netlink/transport.js";
import { ViciClient } from "../../../vici/client.js";
import type { ViciSection } from "../../../vici/message.js";
import type { ViciTransport } from "../../../vici/transport.js";
import type { NameSearch } from "../discovery/by-name.js";
import { sourceTo } from "../discovery/name-client.js";
import type { Question } from "./service.js";

export interface QuestionPorts {
  readonly log: Pick<Logger, "warn">;
  /** To charon's VICI socket. */
  readonly connect: (path: string) => Promise<ViciTransport>;
  readonly setTimer: SetTimer;
  /** Home agents, as the configuration says how to find them. Never rejects. */
  readonly search: () => Promise<NameSearch>;
  /** Addresses that a visited network may have given us. */
  readonly visited: (family: Family) => readonly IpAddress[];
  /** Calls back whenever the network has changed, until it is closed. */
  readonly watchNetwork: (onChange: () => void) => Promise<{ close(): void }>;
}

/** Who asks, and who wants to know. */
export interface Asker {
  readonly config: MobileNodeConfig;
  readonly ike: MobileNodeIke;
  readonly credentials: Credentials;
  /** Rejects with the sentence for the operator if it cannot be taken. */
  readonly take: (told: HomeAddresses) => Promise<void>;
}

const FIRST_RETRY_MS = 1000;
const LONGEST_RETRY_MS = 30_000;

export class HomeAddressQuestion implements Question {
  readonly #asker: Asker;
  readonly #ports: QuestionPorts;
  readonly #client: ViciClient;
  #network: { close(): void } | undefined;
  /** Our addresses at the last attempt. */
  #from = "";
  #up = false;
  #running = false;
  #again = false;
  #closed = false;
  #retryMs = FIRST_RETRY_MS;
  #cancelRetry = (): void => undefined;
  /** What the operator was told last. */
  #fault = "";

  constructor(asker: Asker, ports: QuestionPorts) {
    this.#asker = asker;
    this.#ports = ports;
    this.#client = new ViciClient({
      connect: () => ports.connect(asker.ike.viciSocket),
      setTimer: ports.setTimer,
      listener: {
        onUp: async () => {
          await loadCredentials(this.#client, asker.credentials);
          this.#up = true;
          this.#start();
        },
        onDown: ({ message }) => {
          this.#up = false;
          this.#tell(message);
        },
        onEvent: () => undefined,
      },
    });
    this.#client.start();
    void this.#watch();
  }

  close(): void {
    this.#closed = true;
    this.#cancelRetry();
    this.#network?.close();
    this.#client.close();
  }

  async #watch(): Promise<void> {
    try {
      const network = await this.#ports.watchNetwork(() => {
        if (this.#addresses() !== this.#from) this.#start();
      });
      this.#network = network;
      if (this.#closed) network.close();
    } catch (error) {
      this.#ports.log.warn({ event: "network.unread", reason: String(error) }); // it is tried again in its time all the same
    }
  }

  #addresses(): string {
    return [...this.#ports.visited(6), ...this.#ports.visited(4)].join(" ");
  }

  #start(): void {
    if (this.#closed || !this.#up) return;
    this.#cancelRetry();
    if (this.#running) {
      this.#again = true;
      return;
    }
    this.#running = true;
    const from = this.#addresses();
    if (from !== this.#from) this.#retryMs = FIRST_RETRY_MS;
    this.#from = from;
    void this.#attempt().then((done) => {
      this.#running = false;
      if (done) return this.close();
      if (this.#closed) return;
      if (this.#again) {
        this.#again = false;
        return this.#start();
      }
      this.#cancelRetry = this.#ports.setTimer(this.#retryMs, () => this.#start());
      this.#retryMs = Math.min(LONGEST_RETRY_MS, 2 * this.#retryMs);
    });
  }

  /** Whether it was answered, and the answer taken. */
  async #attempt(): Promise<boolean> {
    const { take, ike } = this.#asker;
    const homeAgents = await this.#homeAgents();
    if (homeAgents.length === 0) this.#tell("there is no way to a home agent from here yet");
    for (const homeAgent of homeAgents) {
      if (this.#closed) return false;
      try {
        const from = await sourceTo(homeAgent, this.#ports.visited(familyOf(homeAgent)));
        const told = await askHomeAddresses(this.#client, this.#connection({ from, homeAgent }));
        if (this.#closed) return false;
        if (told !== undefined) {
          await take(told);
          return true;
        }
        this.#tell(`the home agent ${homeAgent} has told no IPv6 home address of ${ike.identity}`);
      } catch (error) {
        this.#tell(`${homeAgent}: ${(error as Error).message}`);
      }
    }
    return false;
  }

  #connection(ends: Parameters<typeof mobileNodeBootstrap>[2]): ViciSection {
    const { ike, credentials } = this.#asker;
    const { identity, homeAgentIdentity, authentication } = ike;
    const peers = { nodeIdentity: identity, homeAgentIdentity, authentication };
    return mobileNodeBootstrap(peers, { ...ike, certificate: credentials.certificate }, ends);
  }

  /** Their addresses of the families that there are here, the best one first. */
  async #homeAgents(): Promise<readonly IpAddress[]> {
    const { homeAgent } = this.#asker.config.mobileNode;
    const known: NameSearch =
      homeAgent.ipv6 === TO_BE_FOUND
        ? await this.#ports.search()
        : { candidates: [{ ...homeAgent, name: homeAgent.ipv6 }], faults: [] };
    for (const fault of known.faults) this.#tell(fault);
    return known.candidates
      .flatMap(({ ipv6, ipv4 }): IpAddress[] => (ipv4 === undefined ? [ipv6] : [ipv6, ipv4]))
      .filter((address) => this.#ports.visited(familyOf(address)).length > 0);
  }

  #tell(reason: string): void {
    if (reason === this.#fault || this.#closed) return;
    this.#fault = reason;
    this.#ports.log.warn({ event: "home-address.search", reason });
  }
}
