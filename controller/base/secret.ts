/** Key material that cannot be printed by accident: every way to text says "[secret]". */

const INSPECT = Symbol.for("nodejs.util.inspect.custom");

export class Secret {
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** The octets themselves, for the one codec that hands them to the kernel. */
  reveal(): Uint8Array {
    return this.#bytes;
  }

  get length(): number {
    return this.#bytes.length;
  }

  equals(other: Secret): boolean {
    const a = this.#bytes;
    const b = other.#bytes;
    let difference = a.length ^ b.length;
    for (let i = 0; i < a.length; i++) difference |= (a[i] ?? 0) ^ (b[i] ?? 0);
    return difference === 0;
  }

  toString(): string {
    return "[secret]";
  }

  toJSON(): string {
    return "[secret]";
  }

  [INSPECT](): string {
    return "[secret]";
  }
}
