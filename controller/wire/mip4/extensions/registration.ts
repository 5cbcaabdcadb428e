/** The extensions of registration messages as values: a union on `kind`, derived from the tables that encode and decode them. */
import { type ExtensionSpan, extensionArea, type UnknownExtension } from "./area.js";
import { AUTHENTICATION_EXTENSIONS } from "./authentication.js";
import type { ExtensionOf } from "./codec.js";
import { DUAL_STACK_EXTENSIONS } from "./dual-stack.js";
import { IDENTITY_EXTENSIONS } from "./identity.js";
import { UDP_TUNNELLING_EXTENSIONS } from "./udp-tunnelling.js";

const CODECS = [
  ...AUTHENTICATION_EXTENSIONS,
  ...UDP_TUNNELLING_EXTENSIONS,
  ...IDENTITY_EXTENSIONS,
  ...DUAL_STACK_EXTENSIONS,
] as const;

export type KnownRegistrationExtension = ExtensionOf<(typeof CODECS)[number]>;
export type RegistrationExtension = KnownRegistrationExtension | UnknownExtension;
export type RegistrationExtensionOf<K extends RegistrationExtension["kind"]> = Extract<
  RegistrationExtension,
  { readonly kind: K }
>;
export type RegistrationExtensionSpan = ExtensionSpan<RegistrationExtension>;

export const REGISTRATION_EXTENSIONS = extensionArea<KnownRegistrationExtension>(CODECS);

/** The first extension of a kind, or undefined. */
export function findExtension<K extends RegistrationExtension["kind"]>(
  extensions: readonly RegistrationExtension[],
  kind: K,
): RegistrationExtensionOf<K> | undefined {
  return extensions.find((one): one is RegistrationExtensionOf<K> => one.kind === kind);
}

/** All extensions of a kind in their order. */
export function findExtensions<K extends RegistrationExtension["kind"]>(
  extensions: readonly RegistrationExtension[],
  kind: K,
): readonly RegistrationExtensionOf<K>[] {
  return extensions.filter((one): one is RegistrationExtensionOf<K> => one.kind === kind);
}
