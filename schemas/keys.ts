/**
 * The key file, of one format on all sides: static ESP keys for the binding updates and acknowledgements of each mobile node, and the
 * security associations of Mobile IPv4. Static ESP keys are a lab's tool: they do not change. The algorithms are those that manual keying allows (RFC 8221 §3) and hand-keyed peers have; AES-GCM
 * takes keys that never repeat a number, so it is there on request only, and for files of before, which name no algorithm.
 */
import { z } from "zod";
import { ipv4Text, ipv6Text, nodeOfMip4 } from "./config/common.js";
import { matching } from "./texts.js";

export const ESP_ALGORITHMS = ["aes-cbc-hmac-sha256", "aes-cbc-hmac-sha1", "aes-gcm"] as const;
export type EspAlgorithm = (typeof ESP_ALGORITHMS)[number];

/** Octets of key material. */
const AES_OCTETS = [16, 24, 32] as const;
const SALT_OCTETS = 4;

interface KeyForm {
  /** What it is, for the sentence. */
  readonly what: string;
  readonly octets: readonly number[];
}

/** Which keys an association has, by algorithm; no others. */
const KEY_FORMS: Readonly<Record<EspAlgorithm, Partial<Record<KeyField, KeyForm>>>> = {
  "aes-cbc-hmac-sha256": {
    encryptionKey: { what: "an AES key", octets: AES_OCTETS },
    integrityKey: { what: "an HMAC-SHA-256 key", octets: [32] },
  },
  "aes-cbc-hmac-sha1": {
    encryptionKey: { what: "an AES key", octets: AES_OCTETS },
    integrityKey: { what: "an HMAC-SHA-1 key", octets: [20] },
  },
  "aes-gcm": {
    key: { what: "an AES-GCM key with its salt", octets: AES_OCTETS.map((octets) => octets + SALT_OCTETS) },
  },
};

const KEY_FIELDS = ["key", "encryptionKey", "integrityKey"] as const;
type KeyField = (typeof KEY_FIELDS)[number];

const octets = matching(/^(0x)?([0-9a-fA-F]{2})+$/, "hexadecimal digits are wanted, two for each octet").transform(
  (text) => text.replace(/^0x/, ""),
);

const hexadecimal = (description: string) => octets.optional().describe(description);

const securityAssociation = z.strictObject({
  spi: z.int().min(256).max(0xffffffff).describe("Security parameters index; 1 to 255 are reserved (RFC 4303 §2.1)."),
  key: hexadecimal("aes-gcm: 16, 24 or 32 octets of AES key and 4 octets of salt (RFC 4106 §8.1), in hexadecimal."),
  encryptionKey: hexadecimal("aes-cbc-…: 16, 24 or 32 octets of AES key, in hexadecimal (RFC 3602)."),
  integrityKey: hexadecimal(
    "aes-cbc-…: the HMAC's key in hexadecimal, 32 octets (SHA-256, RFC 4868) or 20 (SHA-1, RFC 2404).",
  ),
});

const algorithm = z.enum(ESP_ALGORITHMS).optional();

export const keyEntry = z.strictObject({
  homeAddress: ipv6Text,
  algorithm: algorithm.describe("Of both associations; absent: that of the file."),
  replayWindow: z
    .int()
    .min(0)
    .max(4096)
    .optional()
    .describe(
      "Packets that may come out of order; 0 takes any number, so that a peer which begins anew is heard at once (RFC 4303 §3.4.3). Default 0, and 64 without algorithm.",
    ),
  /** Mobile node to home agent. */
  update: securityAssociation.describe("Protects binding updates."),
  /** Home agent to mobile node. */
  acknowledgement: securityAssociation.describe("Protects binding acknowledgements."),
});

/** Of an authentication extension of Mobile IPv4; hmac-md5 is the one that everybody has (RFC 5944 §3.5.1). */
export const MIP4_ALGORITHMS = ["hmac-md5", "hmac-sha1", "hmac-sha256"] as const;
export type Mip4Algorithm = (typeof MIP4_ALGORITHMS)[number];

/** Octets of a key of Mobile IPv4: at least 128 bits (RFC 5944 §5.1). */
const MIP4_KEY_OCTETS = { least: 16, most: 64 };

const mip4Key = {
  spi: z
    .int()
    .min(256)
    .max(0xffffffff)
    .describe("Security parameters index in both directions; 0 to 255 are reserved (RFC 5944 §3.5.1)."),
  algorithm: z.enum(MIP4_ALGORITHMS).default("hmac-md5"),
  key: octets
    .refine((hex) => hex.length / 2 >= MIP4_KEY_OCTETS.least && hex.length / 2 <= MIP4_KEY_OCTETS.most, {
      error: `${2 * MIP4_KEY_OCTETS.least} to ${2 * MIP4_KEY_OCTETS.most} hexadecimal digits are wanted`,
    })
    .describe(
      `The shared secret in hexadecimal, ${MIP4_KEY_OCTETS.least} to ${MIP4_KEY_OCTETS.most} octets (RFC 5944 §5.1).`,
    ),
};
const mip4Node = nodeOfMip4.describe("IPv4 home address of the mobile node, or its NAI like alice@example.com.");
const mip4ForeignAgent = ipv4Text.describe("Address of the foreign agent from which it sends.");

export const mip4KeyEntry = z.discriminatedUnion("association", [
  z.strictObject({
    association: z.literal("mobile-home").describe("Between a mobile node and its home agent; each node has one."),
    node: mip4Node,
    ...mip4Key,
    replay: z
      .enum(["timestamps", "nonces"])
      .default("timestamps")
      .describe("Protection against replays (RFC 5944 §5.7); timestamps need clocks that are right."),
  }),
  z.strictObject({
    association: z.literal("mobile-foreign").describe("Between a mobile node and a foreign agent."),
    node: mip4Node,
    foreignAgent: mip4ForeignAgent,
    ...mip4Key,
  }),
  z.strictObject({
    association: z.literal("foreign-home").describe("Between a foreign agent and a home agent."),
    foreignAgent: mip4ForeignAgent,
    homeAgent: ipv4Text.describe("Address of the home agent by which nodes know it."),
    ...mip4Key,
  }),
]);

export const keyFile = z
  .strictObject({
    algorithm: algorithm.describe(
      "For entries that name none: AES-CBC with HMAC-SHA-256 (ICV of 128 bits), with HMAC-SHA-1 (96 bits), or AES-GCM. Absent: aes-gcm with a replay window of 64, as before this key was there.",
    ),
    keys: z.array(keyEntry).default([]).describe("Static ESP keys of Mobile IPv6."),
    mip4: z.array(mip4KeyEntry).default([]).describe("Security associations of Mobile IPv4."),
  })
  .superRefine((file, context) => {
    if (file.keys.length + file.mip4.length === 0)
      context.addIssue({ code: "custom", message: "at least one entry is wanted", path: ["keys"] });
    file.keys.forEach((entry, i) => {
      const chosen = entry.algorithm ?? file.algorithm ?? "aes-gcm";
      for (const direction of ["update", "acknowledgement"] as const)
        for (const field of KEY_FIELDS) {
          const complaint = complaintAbout(entry[direction][field], chosen, field);
          if (complaint !== undefined)
            context.addIssue({ code: "custom", message: complaint, path: ["keys", i, direction, field] });
        }
    });
  });

/** What is wrong with one key of an association; undefined: nothing. */
function complaintAbout(hex: string | undefined, chosen: EspAlgorithm, field: KeyField): string | undefined {
  const form = KEY_FORMS[chosen][field];
  if (form === undefined) {
    const others = Object.keys(KEY_FORMS[chosen]).join(" and ");
    return hex === undefined ? undefined : `algorithm ${chosen} has none, but ${others}; remove it`;
  }
  if (hex !== undefined && form.octets.includes(hex.length / 2)) return undefined;
  return `for algorithm ${chosen} ${form.what} is wanted: ${orList(form.octets.map((octets) => 2 * octets))} hexadecimal digits`;
}

function orList(numbers: readonly number[]): string {
  return numbers.length === 1 ? String(numbers[0]) : `${numbers.slice(0, -1).join(", ")} or ${numbers.at(-1)}`;
}

export type KeyFile = z.output<typeof keyFile>;
export type KeyEntry = z.output<typeof keyEntry>;
export type Mip4KeyEntry = z.output<typeof mip4KeyEntry>;
