/** A network that is shown to movement detection, time that passes, and what it believes and asks then. */
import t from "tap";
import { type IpAddress, ipv4, ipv6, type Prefix, parseIp, parsePrefix } from "../../../../../controller/base/ip.js";
import { type Instant, instant } from "../../../../../controller/base/time.js";
import {
  believed,
  initialDetection,
  nextAsking,
  step,
} from "../../../../../controller/protocol/movement/detection/machine.js";
import type {
  DetectionEffect,
  DetectionInput,
  DetectionState,
} from "../../../../../controller/protocol/movement/detection/model.js";
import type {
  NetworkAddress,
  NetworkRoute,
  NetworkView,
} from "../../../../../controller/protocol/movement/network-view.js";

export const HOME_AGENT = { ipv6: ipv6("2001:db8:1::1"), ipv4: ipv4("203.0.113.1") };
export const INDEX = 2;
export const R1 = "fe80::1";
export const R2 = "fe80::2";
export const MAC1 = "02:00:00:00:00:01";
export const MAC2 = "02:00:00:00:00:02";
export const A = "2001:db8:a::5/64";
export const B = "2001:db8:b::5/64";

export interface Port {
  /** With the word "dynamic", and "@N" for the time of configuration. */
  readonly addresses: readonly string[];
  /** Default routes. */
  readonly via?: readonly string[];
  readonly carrier?: number;
  readonly running?: boolean;
}

export function view({ addresses, via = [], carrier = 1, running = true }: Port): NetworkView {
  const parsed = ["fe80::5/64 link", ...addresses].map((text): NetworkAddress => {
    const [where = "", ...words] = text.split(" ");
    const [address = "", bits = ""] = where.split("/");
    return {
      device: "eth0",
      address: parseIp(address) as IpAddress,
      prefixLength: Number(bits),
      scope: words.includes("link") ? "link" : "global",
      tentative: false,
      deprecated: false,
      temporary: false,
      ours: words.includes("ours"),
      ...(!words.includes("dynamic") && { permanent: true }),
      configuredAt: Number(words.find((word) => word.startsWith("@"))?.slice(1) ?? 0),
    };
  });
  const route = (destination: string, gateway?: string): NetworkRoute => ({
    family: destination.includes(":") ? 6 : 4,
    destination: parsePrefix(destination) as Prefix,
    device: "eth0",
    ...(gateway !== undefined && { via: parseIp(gateway) as IpAddress }),
    metric: 1024,
    table: 254,
    protocol: 9,
    ours: false,
  });
  const onLink = addresses.flatMap((text) => {
    const [where = ""] = text.split(" ");
    return text.includes("ours") ? [] : [route(networkOf(where))];
  });
  const link = { index: INDEX, name: "eth0", up: true, running, ours: false, carrierChanges: carrier };
  return {
    links: [link],
    addresses: parsed,
    routes: [...onLink, ...via.map((gateway) => route(gateway.includes(":") ? "::/0" : "0.0.0.0/0", gateway))],
  };
}

export const networkOf = (where: string): string =>
  where.includes(":") ? where.replace(/::.*\//, "::/") : where.replace(/\.\d+\//, ".0/");

export class Bench {
  state: DetectionState = initialDetection(HOME_AGENT);
  now: Instant = instant(1_000_000);
  effects: DetectionEffect[] = [];

  give(input: DetectionInput): this {
    const { state, effects } = step(this.state, input, this.now);
    this.state = state;
    for (const effect of effects) this.effects.push(effect);
    return this;
  }

  sees(port: Port): this {
    return this.give({ kind: "network", view: view(port) });
  }

  hears(router: string, linkLayerAddress: string, ...prefixes: readonly string[]): this {
    const advertisement = {
      router: ipv6(router),
      linkLayerAddress,
      lifetimeSeconds: 30,
      prefixes: prefixes.map((text) => parsePrefix(text) as Prefix),
    };
    return this.give({ kind: "advertisement", index: INDEX, advertisement });
  }

  answers(address: string, linkLayerAddress?: string): this {
    const parsed = parseIp(address) as IpAddress;
    return this.give({
      kind: "reachable",
      index: INDEX,
      address: parsed,
      ...(linkLayerAddress && { linkLayerAddress }),
    });
  }

  knows(address: string, linkLayerAddress: string): this {
    return this.give({ kind: "neighbour", index: INDEX, address: parseIp(address) as IpAddress, linkLayerAddress });
  }

  wait(seconds: number): this {
    const end = this.now + seconds * 1000;
    for (let steps = 0; steps < 1000; steps++) {
      const next = nextAsking(this.state);
      if (next === undefined || next > end) {
        this.now = instant(end);
        return this;
      }
      this.now = instant(Math.max(this.now, next));
      this.give({ kind: "timer" });
    }
    throw new Error("it does not come to rest");
  }

  /** Global addresses that are believed. */
  get addresses(): readonly string[] {
    const seen = believed(this.state)?.addresses ?? [];
    return seen
      .filter(({ scope }) => scope === "global")
      .map(({ address, prefixLength, deprecated }) => `${address}/${prefixLength}${deprecated ? " deprecated" : ""}`);
  }

  get gateways(): readonly string[] {
    return (believed(this.state)?.routes ?? []).flatMap(({ via }) => (via === undefined ? [] : [via]));
  }

  /** Who was asked, with the link-layer address, since the last look. */
  asked(): readonly string[] {
    const asked = this.effects.flatMap((effect) =>
      effect.kind === "ask" ? [`${effect.router} ${effect.linkLayerAddress ?? "everybody"} from ${effect.sender}`] : [],
    );
    this.effects = [];
    return asked;
  }

  solicited(): number {
    return this.effects.filter(({ kind }) => kind === "solicit").length;
  }
}

/** In the first network, with its router known. */
export function inFirst(): Bench {
  const bench = new Bench()
    .sees({ addresses: [`${A} dynamic`], via: [R1] })
    .hears(R1, MAC1, "2001:db8:a::/64")
    .wait(5);
  bench.asked();
  return bench;
}

/** Configured by hand, and the carrier was lost: the router of that address has another link-layer address now. */
export function elsewhere(addresses: readonly string[], gateway: string): Bench {
  const port = { addresses, via: [gateway] };
  const bench = new Bench()
    .sees(port)
    .knows(gateway, MAC1)
    .sees({ ...port, carrier: 3 });
  t.strictSame(bench.addresses, []);
  return bench;
}
