/**
 * Signalling of the 2004 profile in a scene: what of a node's passed the home agent's wire, opened with its keys, and a node that the test
 * plays, from whatever care-of address.
 */
import assert from "node:assert/strict";
import type { Ipv4Address, Ipv6Address } from "../../../controller/base/ip.js";
import { mappedAddress } from "../../../controller/base/mapped.js";
import { Protocol } from "../../../controller/wire/ip/registry.js";
import { decodeMobilityMessage, type MobilityMessage } from "../../../controller/wire/mip6/messages/mobility-header.js";
import type { BindingAcknowledgement, BindingUpdate } from "../../../controller/wire/mip6/messages/mobility-message.js";
import { decodeDestinationOptions, homeAddressOf } from "../../../controller/wire/mip6/options/destination.js";
import type { MobilityOption } from "../../../controller/wire/mip6/options/mobility.js";
import { SOLIMAN_2004_PROFILE } from "../../../controller/wire/mip6/profile.js";
import { bindingUpdate, EspSender, openEsp, type UpdateFields } from "../../lib/esp.js";
import type { Frame } from "./capture.js";
import { encapsulate, Injector } from "./craft.js";
import { layersOfKind } from "./frame.js";
import { withHomeAddress } from "./hostile.js";
import { type EspKey, HOME_AGENT, type Mobile, type Scene } from "./scene.js";
import { waitFor } from "./wait.js";

const ROUTING = 43;
const EITHER_FORM = { profile: SOLIMAN_2004_PROFILE };

/** A mobility message on the wire, and where it stood. */
export interface Seen<M extends MobilityMessage = MobilityMessage> {
  readonly frame: Frame;
  readonly message: M;
}

interface Opened {
  readonly frame: Frame;
  readonly nextHeader: number;
  readonly payload: Uint8Array;
}

const ofAssociation = ({ spi, key }: EspKey) => ({ spi, key: Buffer.from(key, "hex") });

/** What of the node's passed under ESP, in both directions. */
export function openedOf({ wire }: Scene, { keys }: Mobile): readonly Opened[] {
  return wire.frames().flatMap((frame): readonly Opened[] => {
    const last = frame.layers.at(-1);
    if (last?.kind !== "other" || last.protocol !== Protocol.esp) return [];
    const spi = Buffer.from(last.bytes).readUInt32BE(0);
    const key = [keys.update, keys.acknowledgement].find((one) => one.spi === spi);
    return key === undefined ? [] : [{ frame, ...openEsp(last.bytes, ofAssociation(key)) }];
  });
}

/** The mobility messages among them. */
export function messagesOf(scene: Scene, mobile: Mobile): readonly Seen[] {
  return openedOf(scene, mobile).flatMap(({ frame, nextHeader, payload }): readonly Seen[] => {
    if (nextHeader !== Protocol.mobility) return [];
    const message = decodeMobilityMessage(payload, EITHER_FORM);
    assert.ok(message.ok, "a message that can be read");
    return [{ frame, message: message.value }];
  });
}

export const isUpdate = (seen: Seen): seen is Seen<BindingUpdate> => seen.message.type === "binding-update";
export const isAnswer = (seen: Seen): seen is Seen<BindingAcknowledgement> =>
  seen.message.type === "binding-acknowledgement";

export const isInIpv4 = ({ frame }: { readonly frame: Frame }): boolean =>
  layersOfKind(frame.layers, "ipv4").length > 0;

/** Of options 29 and 30, in whatever form. */
export const ipv4OptionsOf = ({ message }: Seen): readonly MobilityOption[] =>
  "options" in message ? message.options.filter(({ kind }) => /^ipv4-(home-address|address-ack)/.test(kind)) : [];

export function routingHeaderOf({ layers }: Frame): Uint8Array | undefined {
  const at = layers.findIndex((layer) => layer.kind === "ipv6" && layer.protocol === ROUTING);
  const next = layers[at + 1];
  return at >= 0 && next?.kind === "extension" ? next.bytes : undefined;
}

export function homeAddressOptionOf({ layers }: Frame): Ipv6Address | undefined {
  for (const { bytes } of layersOfKind(layers, "extension")) {
    const options = decodeDestinationOptions(bytes);
    if (options.ok) return homeAddressOf(options.value);
  }
  return undefined;
}

/** A node of the scene whose daemon is not started: its updates are made here, octet by octet, and put on the home agent's wire. */
export class Played {
  readonly mobile: Mobile;
  readonly #scene: Scene;
  readonly #sender: EspSender;
  readonly #wire: Injector;
  #sequence = 0;

  constructor(scene: Scene, mobile: Mobile) {
    this.mobile = mobile;
    this.#scene = scene;
    this.#sender = new EspSender(ofAssociation(mobile.keys.update));
    this.#wire = new Injector({ namespace: scene.core, device: "ha" }, { namespace: scene.ha, device: "wan" });
  }

  close(): void {
    this.#wire.close();
  }

  send(...packets: readonly Uint8Array[]): void {
    this.#wire.send(...packets);
  }

  /** The next update, from that source, with the Home Address option and under ESP. */
  packet(source: Ipv6Address, fields: Omit<UpdateFields, "sequence">): Uint8Array {
    const { home6 } = this.mobile;
    const update = bindingUpdate({ sequence: ++this.#sequence, ...fields }, home6, HOME_AGENT.ipv6);
    return withHomeAddress(source, home6, Protocol.esp, this.#sender.seal(update));
  }

  /** In protocol 41 from there, as the profile has it. */
  fromIpv4(careOf: Ipv4Address, fields: Omit<UpdateFields, "sequence">): Promise<Seen<BindingAcknowledgement>> {
    const outer = { source: careOf, destination: HOME_AGENT.ipv4 };
    return this.#answered(encapsulate(outer, this.packet(mappedAddress(careOf), fields)));
  }

  fromIpv6(careOf: Ipv6Address, fields: Omit<UpdateFields, "sequence">): Promise<Seen<BindingAcknowledgement>> {
    return this.#answered(this.packet(careOf, fields));
  }

  async #answered(packet: Uint8Array): Promise<Seen<BindingAcknowledgement>> {
    const sequence = this.#sequence;
    this.send(packet);
    return waitFor(
      () =>
        messagesOf(this.#scene, this.mobile)
          .filter(isAnswer)
          .find(({ message }) => message.sequence === sequence),
      { what: `an answer to update ${sequence} of ${this.mobile.home6}` },
    );
  }
}
