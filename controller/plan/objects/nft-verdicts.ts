/** Clauses that count, limit and decide. */
import type { NftLimit } from "./firewall.js";
import { type Clause, KEY_REGISTER, type KeyField, loadKey } from "./nft-clause.js";

/** A token bucket of its own for each key: what is beyond it matches. */
export function beyond(fields: readonly KeyField[], set: string, bucket: Bucket): Clause {
  return {
    text: `update @${set} { ${fields.map((field) => field.text).join(" . ")} limit rate over ${bucketText(bucket)} }`,
    expressions: [...loadKey(fields), { type: "meter", set, register: KEY_REGISTER, ...bucket, over: true }],
  };
}

/** The key is in the set from now on, for as long as the set keeps it. */
export function remember(fields: readonly KeyField[], set: string): Clause {
  return {
    text: `update @${set} { ${fields.map((field) => field.text).join(" . ")} }`,
    expressions: [...loadKey(fields), { type: "remember", set, register: KEY_REGISTER }],
  };
}

/** One token bucket for all that comes to this rule: what is within matches. */
export function within(bucket: Bucket): Clause {
  return { text: `limit rate ${bucketText(bucket)}`, expressions: [{ type: "limit", ...bucket, over: false }] };
}

/** Packets. */
export type Bucket = Omit<NftLimit, "over">;

const bucketText = ({ perSecond, burst }: Bucket): string => `${perSecond}/second burst ${burst} packets`;

export const notrack: Clause = { text: "notrack", expressions: [{ type: "notrack" }] };

export const accept: Clause = { text: "accept", expressions: [{ type: "verdict", verdict: "accept" }] };

export const drop: Clause = { text: "drop", expressions: [{ type: "verdict", verdict: "drop" }] };

export const jump = (chain: string): Clause => ({
  text: `jump ${chain}`,
  expressions: [{ type: "verdict", verdict: "jump", chain }],
});

export const count = (counter: string): Clause => ({
  text: `counter name ${counter}`,
  expressions: [{ type: "count", counter }],
});
