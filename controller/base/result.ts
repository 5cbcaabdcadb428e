/** A computation that ends in a value or in an error that the caller is expected to meet in ordinary operation. */
export type Result<T, E> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: E };

export const ok = <T>(value: T): { readonly ok: true; readonly value: T } => ({ ok: true, value });
export const err = <E>(error: E): { readonly ok: false; readonly error: E } => ({ ok: false, error });

/** The compiler's proof that a union was handled whole; reached at run time only if a value lies about its type. */
export function exhaustive(value: never): never {
  throw new TypeError(`unhandled case: ${JSON.stringify(value)}`);
}
