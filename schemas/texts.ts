/** Texts of a form: what is wanted is told in the same words, whether the text is missing, no text at all, or of another form. */
import { z } from "zod";

/** `wanted`: a clause that ends with "is wanted" or "are wanted". */
export const matching = (pattern: RegExp, wanted: string) =>
  z.string({ error: wanted }).regex(pattern, { error: wanted });

/** What `parse` makes of it; undefined: it has another form. */
export const parsed = <T>(parse: (text: string) => T | undefined, wanted: string) =>
  z
    .string({ error: wanted })
    .refine((text) => parse(text) !== undefined, { error: wanted })
    .transform((text) => parse(text) as T);

export const absolutePath = matching(/^\//, "a path that begins with / is wanted");
