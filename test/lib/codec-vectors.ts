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

/**
 * The attributes of a region as text, sorted by type, so that order and nested flags don't matter. `nested` says by path of types
 * ("9/1") which ones hold attributes; those of a list keep their order.
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
