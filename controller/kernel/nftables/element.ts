/**
 * Elements of our table's sets and maps ⇄ messages. Many elements share one message, up to 60,000 octets: a list is one attribute,
 * whose length has 16 bits.
 *
 * Keys are octets on the wire and what they mean stands in the set, so this codec needs the sets' definitions. It has them from
 * the table codec of the same NftSets (made or adopted) and from its own dumps.
 *
 * Kernel: adding an element that is there already is accepted if the value is the same, and EBUSY or EEXIST if it differs, because
 * NLM_F_EXCL is left out on purpose: the table is ours alone, and an element that is there as wanted must not undo the whole
 * transaction. Removing one that is not there is ENOENT and does undo it; kernels from 6.3 on have NFT_MSG_DESTROYSETELEM, which
 * forgives (`destroyMissing` of NftFeatures); on older ones the caller must know what is there.
 */
import { EncodeError } from "../../base/errors.js";
import { type Attribute, type AttributeWriter, align4 } from "../../netlink/attribute.js";
import { NLM_F_CREATE } from "../../netlink/constants.js";
import { EBUSY } from "../../netlink/errno.js";
import type { NftElement, NftSet } from "../../plan/objects/firewall.js";
import { hasOwnElements } from "../../plan/objects/nft-canonical.js";
import { OWNERSHIP } from "../../plan/objects/objects.js";
import type { NetlinkMessage, NetlinkRequest, ObjectCodec } from "../codec.js";
import {
  NFT_MSG_DELSETELEM,
  NFT_MSG_GETSET,
  NFT_MSG_GETSETELEM,
  NFT_MSG_NEWSET,
  NFT_MSG_NEWSETELEM,
  NFTA_DATA_VALUE,
  NFTA_LIST_ELEM,
  NFTA_SET_ELEM_DATA,
  NFTA_SET_ELEM_KEY,
  NFTA_SET_ELEM_LIST_ELEMENTS,
  NFTA_SET_ELEM_LIST_SET,
  NFTA_SET_ELEM_LIST_TABLE,
  NFTA_SET_TABLE,
} from "./constants.js";
import { NFT_MSG_DESTROYSETELEM, type NftFeatures } from "./features.js";
import { nftAttributes, nftDump, nftMessage, nftRequest } from "./message.js";
import { decodeKey, decodeSet, decodeValue, encodeKey, encodeValue } from "./set.js";

/** Octets of one list of elements; an attribute holds 65,535. */
const LIST_MAX = 60_000;
const ATTRIBUTE_HEADER = 4;

/** What the codecs know of our table's sets. One for each kernel (network namespace). */
export class NftSets {
  readonly #sets = new Map<string, NftSet>();

  learn(sets: Iterable<NftSet>): void {
    for (const set of sets) this.#sets.set(set.name, set);
  }

  get(name: string): NftSet | undefined {
    return this.#sets.get(name);
  }
}

export interface ElementOctets {
  readonly key: Uint8Array;
  readonly value?: Uint8Array;
}

export type NftElementCodec = ObjectCodec<NftElement> &
  Required<Pick<ObjectCodec<NftElement>, "createMany" | "removeMany" | "dumpMore" | "assemble" | "find">>;

export function createNftElementCodec(sets: NftSets, features: Pick<NftFeatures, "destroyMissing">): NftElementCodec {
  const removal = features.destroyMissing ? NFT_MSG_DESTROYSETELEM : NFT_MSG_DELSETELEM;
  const requests = (message: number, objects: readonly NftElement[]): NetlinkRequest[] =>
    [...groupBySet(objects)].flatMap(([name, elements]) => {
      const set = knownSet(sets, name);
      return elementRequests(
        message,
        OWNERSHIP.nftTable,
        name,
        elements.map((element) => encodeElement(set, element)),
      );
    });
  return {
    kind: "nft-element",
    family: "netfilter",
    takenErrors: [EBUSY],
    create: (element) => requests(NFT_MSG_NEWSETELEM, [element]),
    createMany: (elements) => requests(NFT_MSG_NEWSETELEM, elements),
    // Both in one transaction: no packet sees the key without a value.
    update: (element, previous) => [
      ...requests(NFT_MSG_DELSETELEM, [previous]),
      ...requests(NFT_MSG_NEWSETELEM, [element]),
    ],
    remove: (element) => requests(removal, [element]),
    removeMany: (elements) => requests(removal, elements),
    find: (element) => requests(NFT_MSG_GETSETELEM, [element]),
    dump: () => [nftDump(NFT_MSG_GETSET)],
    dumpMore: (replies) =>
      ownSets(replies)
        .filter((set) => !hasOwnElements(set))
        .map(({ name }) => elementDump(name)),
    decode: (message) => elementsOf(message, sets)[0],
    assemble(replies) {
      sets.learn(ownSets(replies));
      return replies.flatMap((message) => elementsOf(message, sets));
    },
  };
}

/** The elements of one list in as many requests as their length needs. */
export function elementRequests(
  message: number,
  table: string,
  set: string,
  elements: readonly ElementOctets[],
): NetlinkRequest[] {
  const flags = message === NFT_MSG_NEWSETELEM ? NLM_F_CREATE : 0;
  return chunks(elements).map((chunk) =>
    nftRequest(
      message,
      flags,
      (body) => {
        body.string(NFTA_SET_ELEM_LIST_TABLE, table).string(NFTA_SET_ELEM_LIST_SET, set);
        body.nested(NFTA_SET_ELEM_LIST_ELEMENTS, (list) => {
          for (const element of chunk) putElement(list, element, message === NFT_MSG_NEWSETELEM);
        });
      },
      512 + chunk.reduce((sum, element) => sum + octetsOf(element), 0),
    ),
  );
}

/** The request whose replies hold the elements of one set of our table; ENOENT if it is not there. */
export function elementDump(set: string): NetlinkRequest {
  return nftDump(NFT_MSG_GETSETELEM, (body) =>
    body.string(NFTA_SET_ELEM_LIST_TABLE, OWNERSHIP.nftTable).string(NFTA_SET_ELEM_LIST_SET, set),
  );
}

/** The elements in one message of our table, as octets. */
export function elementOctets(message: NetlinkMessage): { set: string; elements: ElementOctets[] } | undefined {
  const type = nftMessage(message);
  if (type !== NFT_MSG_NEWSETELEM && type !== NFT_MSG_DELSETELEM) return undefined;
  const attributes = nftAttributes(message);
  if (attributes.get(NFTA_SET_ELEM_LIST_TABLE)?.string() !== OWNERSHIP.nftTable) return undefined;
  const list = attributes.get(NFTA_SET_ELEM_LIST_ELEMENTS)?.list() ?? [];
  const elements: ElementOctets[] = [];
  for (const item of list) {
    const parts = item.nested();
    const key = octets(parts.get(NFTA_SET_ELEM_KEY));
    const value = octets(parts.get(NFTA_SET_ELEM_DATA));
    if (key !== undefined) elements.push(value === undefined ? { key } : { key, value });
  }
  return { set: attributes.get(NFTA_SET_ELEM_LIST_SET)?.string() ?? "", elements };
}

function ownSets(replies: readonly NetlinkMessage[]): NftSet[] {
  return replies.flatMap((message) => {
    if (nftMessage(message) !== NFT_MSG_NEWSET) return [];
    const attributes = nftAttributes(message);
    const set = attributes.get(NFTA_SET_TABLE)?.string() === OWNERSHIP.nftTable ? decodeSet(attributes) : undefined;
    return set === undefined ? [] : [set];
  });
}

function elementsOf(message: NetlinkMessage, sets: NftSets): NftElement[] {
  const found = elementOctets(message);
  const set = found === undefined ? undefined : sets.get(found.set);
  if (found === undefined || set === undefined || hasOwnElements(set)) return [];
  return found.elements.flatMap((element) => decodeElement(set, element) ?? []);
}

function decodeElement(set: NftSet, { key, value }: ElementOctets): NftElement | undefined {
  const fields = decodeKey(set, key);
  if (fields === undefined) return undefined;
  const decoded = value === undefined ? undefined : decodeValue(set, value);
  return { kind: "nft-element", set: set.name, key: fields, ...(decoded === undefined ? {} : { value: decoded }) };
}

function encodeElement(set: NftSet, element: NftElement): ElementOctets {
  if (hasOwnElements(set)) throw new EncodeError(`set ${set.name}`, "its elements are not for us to make");
  if ((element.value === undefined) !== (set.value === undefined)) {
    throw new EncodeError(
      `set ${set.name}`,
      element.value === undefined ? "a map's element without a value" : "a value in a set",
    );
  }
  const key = encodeKey(set, element.key);
  return element.value === undefined ? { key } : { key, value: encodeValue(set, element.value) };
}

function knownSet(sets: NftSets, name: string): NftSet {
  const set = sets.get(name);
  if (set === undefined) throw new EncodeError(`set ${name}`, "no table with this set was made or dumped before");
  return set;
}

function groupBySet(elements: readonly NftElement[]): Map<string, NftElement[]> {
  const groups = new Map<string, NftElement[]>();
  for (const element of elements) {
    const group = groups.get(element.set);
    if (group === undefined) groups.set(element.set, [element]);
    else group.push(element);
  }
  return groups;
}

function chunks(elements: readonly ElementOctets[]): ElementOctets[][] {
  const result: ElementOctets[][] = [];
  let room = 0;
  for (const element of elements) {
    const length = octetsOf(element);
    if (length > room) {
      result.push([]);
      room = LIST_MAX;
    }
    result.at(-1)?.push(element);
    room -= length;
  }
  return result;
}

/** With the headers of the list item, of key and value, and of the octets inside these. */
function octetsOf({ key, value }: ElementOctets): number {
  const part = (bytes: Uint8Array): number => 2 * ATTRIBUTE_HEADER + align4(bytes.length);
  return ATTRIBUTE_HEADER + part(key) + (value === undefined ? 0 : part(value));
}

function putElement(list: AttributeWriter, { key, value }: ElementOctets, withValue: boolean): void {
  list.nested(NFTA_LIST_ELEM, (element) => {
    element.nested(NFTA_SET_ELEM_KEY, (data) => data.bytes(NFTA_DATA_VALUE, key));
    if (withValue && value !== undefined)
      element.nested(NFTA_SET_ELEM_DATA, (data) => data.bytes(NFTA_DATA_VALUE, value));
  });
}

function octets(attribute: Attribute | undefined): Uint8Array | undefined {
  return attribute?.nested().get(NFTA_DATA_VALUE)?.payload;
}
