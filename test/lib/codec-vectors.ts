/**
 * The recorded vectors of test/vectors/netlink/{xfrm,nft}.json: one netlink message each, as `ip` or `nft` sent it or as the kernel
 * answered, and the object that it means, written by hand. Keys stand as {"$secret": hex}.
 */
import { readFileSync } from "node:fs";
import { fromHex, toHex } from "../../controller/base/bytes.js";
import { Secret } from "../../controller/base/secret.js";
import { readAttributeList } from "../../controller/netlink/attribute.js";
import { type ReceivedMessage, splitMessages } from "../../controller/netlink/message.js";
import { repositoryPath } from "./repository.js";

export interface CodecVector<T> {
  readonly name: string;
  /** What was recorded: a request of this verb, or an answer. */
  readonly direction: "create" | "update" | "remove" | "reply";
  readonly command: string;
  readonly kernel: string;
  readonly hex: string;
  readonly object: T;
}

export function loadCodecVectors<T>(file: string): readonly CodecVector<T>[] {
  const path = repositoryPath(`test/vectors/netlink/${file}`);
  return JSON.parse(readFileSync(path, "utf8"), (_key, value: unknown) =>
    isSecret(value) ? new Secret(fromHex(value.$secret)) : value,
  ) as readonly CodecVector<T>[];
}

export function vectorMessage(vector: CodecVector<unknown>): ReceivedMessage {
  const [message, ...more] = splitMessages(fromHex(vector.hex));
  if (message === undefined || more.length > 0) throw new TypeError(`${vector.name}: not one message`);
  return message;
}

const NLA_F_NESTED = 0x8000;

/**
 * The attributes of a region as text, one line each and indented by depth, sorted by type: only the order of those of one type means
 * anything. Reads on its own, so that the reader under test is not its own judge; what is nested says the flag.
 */
export function attributeLines(bytes: Uint8Array, indent = ""): string[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const attributes: { type: number; lines: string[] }[] = [];
  for (let at = 0; at + 4 <= bytes.length; at += (view.getUint16(at, true) + 3) & ~3) {
    const flagged = view.getUint16(at + 2, true);
    const type = flagged & 0x3fff;
    const payload = bytes.subarray(at + 4, at + view.getUint16(at, true));
    const nested = (flagged & NLA_F_NESTED) !== 0;
    const lines = nested
      ? [`${indent}${type}:`, ...attributeLines(payload, `${indent}  `)]
      : [`${indent}${type}: ${toHex(payload)}`];
    attributes.push({ type, lines });
  }
  return attributes.sort((a, b) => a.type - b.type).flatMap(({ lines }) => lines);
}

/**
 * The attributes of a region as text, sorted by type, for families that do without nested flags: `nested` says by path of types ("9/1")
 * which ones hold attributes.
 */
export function attributeTree(bytes: Uint8Array, nested: (path: string) => boolean = () => false, path = ""): string[] {
  return readAttributeList(bytes)
    .map(({ type, payload }) => {
      const here = path === "" ? String(type) : `${path}/${type}`;
      return { here, lines: nested(here) ? attributeTree(payload, nested, here) : [toHex(payload)] };
    })
    .sort((a, b) => (a.here < b.here ? -1 : a.here > b.here ? 1 : 0))
    .flatMap(({ here, lines }) => [`${here}:`, ...lines.map((line) => `  ${line}`)]);
}

function isSecret(value: unknown): value is { readonly $secret: string } {
  return typeof value === "object" && value !== null && "$secret" in value;
}
