/** Numbers on the wire with their names and sources: what a registry of them is. */

export interface RegistryEntry<C extends number = number> {
  readonly code: C;
  /** The name in the words of the source, for people. */
  readonly name: string;
  /** `RFC nnnn §section`, or the draft. */
  readonly source: string;
}
export type Registry = { readonly [key: string]: RegistryEntry };
export type Codes<R extends Registry> = { readonly [K in keyof R]: R[K]["code"] };

export const entry = <const C extends number>(code: C, name: string, source: string): RegistryEntry<C> => ({
  code,
  name,
  source,
});

/** The plain numbers of a registry, by the same keys. */
export function codes<const R extends Registry>(registry: R): Codes<R> {
  return Object.fromEntries(Object.entries(registry).map(([key, { code }]) => [key, code])) as Codes<R>;
}

/** The name of a code, or undefined if the registry does not have it. */
export function nameOf(registry: Registry, code: number): string | undefined {
  return Object.values(registry).find((candidate) => candidate.code === code)?.name;
}
