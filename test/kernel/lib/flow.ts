/** A continuous flow of numbered packets from one station to another. */
import type { Station } from "./station.js";
import { scaled } from "./surroundings.js";

/** Milliseconds between two packets; slower where everything is slower. */
const INTERVAL = 20;

export class Flow {
  readonly label: string;
  readonly #from: Station;
  readonly #to: Station;
  readonly #tag: string;
  #sent = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(label: string, from: Station, to: Station) {
    this.label = label;
    this.#from = from;
    this.#to = to;
    this.#tag = `flow ${label} ${++serial}`;
  }

  get sent(): number {
    return this.#sent;
  }

  start(): void {
    this.#timer = setInterval(
      () => {
        this.#from.send(this.#to, this.#text(this.#sent));
        this.#sent++;
      },
      Math.min(scaled(INTERVAL), 60),
    );
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** Numbers of packets that did not arrive. */
  missing(): number[] {
    return this.#numbers((count) => count === 0);
  }

  /** Numbers of packets that arrived more than once. */
  doubled(): number[] {
    return this.#numbers((count) => count > 1);
  }

  #numbers(wanted: (count: number) => boolean): number[] {
    return Array.from({ length: this.#sent }, (_, i) => i).filter((i) => wanted(this.#to.count(this.#text(i))));
  }

  #text(number: number): string {
    return `${this.#tag} #${number}`;
  }
}

let serial = 0;
