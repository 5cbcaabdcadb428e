/**
 * Says why updates over IPv4 stay without answer although the answers come: somebody's filter on the node itself takes them. The firewall
 * counts acknowledgements before everybody's filter and behind it, and the daemon what it gets; who sends again looks at the three.
 */
export interface AnswerCounts {
  /** At the first hook. */
  readonly arrived: number;
  /** Handed to the signalling socket, behind everybody's input chains. */
  readonly steered: number;
  /** What the daemon has read, or dropped with a reason of its own. */
  readonly read: number;
}

export interface FilteredAnswersOptions {
  readonly homeAgent: string;
  readonly tunDevice: string;
  readonly counts: () => Promise<AnswerCounts>;
  /** One sentence for the operator. */
  readonly tell: (reason: string) => void;
}

export class FilteredAnswers {
  readonly #options: FilteredAnswersOptions;
  #before: AnswerCounts | undefined;
  /** Said, and nothing has been read since. */
  #told = false;

  constructor(options: FilteredAnswersOptions) {
    this.#options = options;
  }

  /** An update leaves over UDP. What came between it and the one before is known now. */
  async updateSent(): Promise<void> {
    const now = await this.#options.counts().catch(() => undefined);
    if (now === undefined) return; // ignored: the counters could not be read just now, as at the end
    const before = this.#before;
    this.#before = now;
    if (before === undefined || now.read > before.read) {
      this.#told = false;
      return;
    }
    const reason = this.#reason(before, now);
    if (reason === undefined || this.#told) return;
    this.#told = true;
    this.#options.tell(reason);
  }

  #reason(before: AnswerCounts, now: AnswerCounts): string | undefined {
    const { homeAgent, tunDevice } = this.#options;
    // A table that was made anew counts from zero.
    if (now.arrived <= before.arrived) return undefined;
    if (now.steered <= before.steered)
      return `acknowledgements of ${homeAgent} arrive, but a firewall of this machine drops them: let UDP from port 4191 of ${homeAgent} to port 4191 in (README, Firewall)`;
    return `acknowledgements of ${homeAgent} arrive, but none comes out of IPsec: let protocols 50 and 135 in on ${tunDevice} in this machine's firewall (README, Firewall), or compare the keys of both ends`;
  }
}
