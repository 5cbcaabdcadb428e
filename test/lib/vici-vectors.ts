/**
 * The packets of test/vectors/vici, recorded between swanctl and charon-systemd 5.9.8 and read by a second implementation (a script in
 * Python). Values that are no UTF-8 are written {"$octets": "hex"} in JSON.
 */
import { readFileSync } from "node:fs";
import { fromHex, toHex } from "../../controller/base/bytes.js";
import { decodeMessage, isList, isSection, type ViciNode, type ViciSection } from "../../controller/vici/message.js";
import type { ViciPacket } from "../../controller/vici/packet.js";
import { repositoryPath } from "./repository.js";

export interface ViciVector {
  readonly name: string;
  /** Who sent it. */
  readonly source: string;
  /** The packet with its length in front. */
  readonly hex: string;
  readonly packet: ViciPacket<ViciSection>;
}

export const VICI_VECTOR_FILES = ["requests", "answers", "events"] as const;

export function loadViciVectors(file: (typeof VICI_VECTOR_FILES)[number]): readonly ViciVector[] {
  const text = readFileSync(repositoryPath("test", "vectors", "vici", `${file}.json`), "utf8");
  return (JSON.parse(text) as ViciVector[]).map(({ packet, ...rest }) => ({ ...rest, packet: revivePacket(packet) }));
}

/** All packets of all files, as octets. */
export function recordedPackets(): readonly Uint8Array[] {
  return VICI_VECTOR_FILES.flatMap((file) => loadViciVectors(file).map(({ hex }) => fromHex(hex)));
}

/** A node in a form that compares: prototypes, and octets as text. */
export function plain(node: ViciNode): unknown {
  if (isList(node)) return node.map(plain);
  if (node instanceof Uint8Array) return { $octets: toHex(node) };
  if (!isSection(node)) return node;
  return Object.fromEntries(Object.entries(node).map(([name, child]) => [name, plain(child)]));
}

/** A packet that was read, in the same form. */
export function plainPacket(packet: ViciPacket<Uint8Array> | ViciPacket<ViciSection>): unknown {
  if (!("message" in packet)) return { ...packet };
  const { message } = packet;
  return { ...packet, message: plain(message instanceof Uint8Array ? decodeMessage(message) : message) };
}

function revivePacket(packet: ViciPacket<ViciSection>): ViciPacket<ViciSection> {
  return "message" in packet ? { ...packet, message: revive(packet.message) as ViciSection } : packet;
}

function revive(node: ViciNode): ViciNode {
  if (isList(node)) return node.map((item) => revive(item) as string | Uint8Array);
  if (!isSection(node)) return node;
  const octets = node["$octets"];
  if (typeof octets === "string") return fromHex(octets);
  return Object.fromEntries(Object.entries(node).map(([name, child]) => [name, revive(child)]));
}
