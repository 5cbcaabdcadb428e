/** The home agent's advertisements at work: the machine that says when, with the socket of the home link. */
import type {
  AdvertisedHome,
  AdvertiserEffect,
  AdvertiserInput,
} from "../../../protocol/mip4/home-agent/advertiser.js";
import { HomeLinkAdvertiser } from "../../../protocol/mip4/home-agent/advertiser.js";
import { MachineLoop } from "../../machine-loop.js";
import { type AgentDiscoverySocket, outgoingAdvertisement, solicitorOf } from "../../mip4/agent-discovery.js";
import type { ServiceGround } from "../../service.js";

export interface AdvertisingParts {
  readonly home: AdvertisedHome;
  readonly socket: AgentDiscoverySocket;
  readonly ground: Pick<ServiceGround, "count" | "drop" | "log" | "names">;
  /** From 0 to 1. */
  readonly random: () => number;
}

export class Advertising {
  readonly #parts: AdvertisingParts;
  readonly #loop: MachineLoop<AdvertiserInput, AdvertiserEffect>;

  constructor(parts: AdvertisingParts) {
    this.#parts = parts;
    const advertiser = new HomeLinkAdvertiser(parts.home);
    this.#loop = new MachineLoop<AdvertiserInput, AdvertiserEffect>(
      {
        step: (input, now) => advertiser.step(input, now, parts.random()),
        nextDeadline: () => advertiser.nextDeadline,
      },
      { kind: "timer" },
      { perform: (effect) => this.#perform(effect), flush: () => undefined, turnEnded: () => undefined },
    );
  }

  listen(): void {
    const { ground, socket, home } = this.#parts;
    socket.listen({
      onMessage: (heard) => {
        const solicitor = solicitorOf(heard);
        if (solicitor === undefined || ground.names.interfaceName(heard.interfaceIndex) !== home.link.device) return;
        ground.count("received", heard.message.type);
        this.#loop.push({ kind: "solicitation", ...solicitor });
      },
      onMalformed: (detail) => ground.drop("malformed", detail),
    });
  }

  begin(): void {
    this.#loop.push({ kind: "begin" });
  }

  close(): void {
    this.#loop.close();
    this.#parts.socket.close();
  }

  #perform(effect: AdvertiserEffect): void {
    const { ground, socket } = this.#parts;
    if (effect.kind === "drop") {
      ground.drop(effect.reason, effect.detail);
      return;
    }
    try {
      socket.send(outgoingAdvertisement(effect.message, ground.names.interfaceIndex(effect.message.device)));
      ground.count("sent", effect.message.advertisement.type);
    } catch (error) {
      // The link has gone in this moment; who is on it asks again.
      ground.log.warn({ event: "message.unsent", reason: error instanceof Error ? error.message : String(error) });
    }
  }
}
