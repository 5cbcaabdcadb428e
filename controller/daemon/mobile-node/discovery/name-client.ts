/**
 * Asks name servers itself, since neither the C library nor Node.js tells the additional section of an answer, and from a chosen source:
 * what has none goes through the tunnel to a home agent that is just being looked for. Nothing here blocks; each question has its time.
 */
import { randomInt } from "node:crypto";
import { createSocket } from "node:dgram";
import { Resolver } from "node:dns";
import { connect } from "node:net";
import { type Family, familyOf, type IpAddress, parseIp } from "../../../base/ip.js";
import { type DnsQuestion, type DnsResponse, decodeDnsResponse, encodeDnsQuery } from "../../../wire/dns/message.js";
import { clock } from "../../clock.js";

export interface NameClientOptions {
  /** Absent: those of /etc/resolv.conf at the moment of the question. */
  readonly servers?: readonly IpAddress[] | undefined;
  /** Addresses of visited networks, the likeliest first: of several the kernel's choice is taken if it is one of them. None: the kernel's choice. */
  sources(family: Family): readonly IpAddress[];
  /** Of the servers; default 53. */
  readonly port?: number | undefined;
}

const PORT = 53;
const ANSWER_MS = 2000;
/** Each server is asked so often. */
const ROUNDS = 2;
const NO_ERROR = 0;
const NO_SUCH_NAME = 3;

export class NameClient {
  readonly #options: NameClientOptions;

  constructor(options: NameClientOptions) {
    this.#options = options;
  }

  /** The first answer that a server gives, an empty one too; undefined if none does. Never rejects. */
  async ask(question: DnsQuestion): Promise<DnsResponse | undefined> {
    // Names out of answers may be none.
    if (!isName(question)) return undefined;
    const servers = this.#options.servers ?? systemServers();
    for (let round = 0; round < ROUNDS; round++) {
      for (const server of servers) {
        const answer = await this.#askOne(server, question);
        if (answer !== undefined && (answer.rcode === NO_ERROR || answer.rcode === NO_SUCH_NAME)) return answer;
      }
    }
    return undefined;
  }

  async #askOne(server: IpAddress, question: DnsQuestion): Promise<DnsResponse | undefined> {
    const source = isLoopback(server) ? undefined : await sourceTo(server, this.#options.sources(familyOf(server)));
    const ends = { server, source, port: this.#options.port ?? PORT };
    const answer = await overUdp(ends, question);
    return answer?.truncated === true ? overTcp(ends, question) : answer;
  }
}

interface Ends {
  readonly server: IpAddress;
  readonly source: IpAddress | undefined;
  readonly port: number;
}

function isName(question: DnsQuestion): boolean {
  try {
    return encodeDnsQuery(0, question).length > 0;
  } catch {
    return false;
  }
}

const isLoopback = (address: IpAddress): boolean => address === "::1" || address.startsWith("127.");

/** The source that the kernel would choose, if it is one of these, else the first one: a container's network may stand before the one that leads there. */
export async function sourceTo(server: IpAddress, sources: readonly IpAddress[]): Promise<IpAddress | undefined> {
  if (sources.length < 2) return sources[0];
  const chosen = await kernelChoice(server);
  return sources.find((one) => one === chosen) ?? sources[0];
}

/** From which address the kernel would send there; nothing is sent. Undefined: there is no way. */
function kernelChoice(server: IpAddress): Promise<IpAddress | undefined> {
  return new Promise((resolve) => {
    const socket = createSocket(familyOf(server) === 4 ? "udp4" : "udp6");
    const done = (address: IpAddress | undefined): void => {
      socket.close();
      resolve(address);
    };
    socket.once("error", () => done(undefined));
    socket.connect(PORT, server, (error?: Error) =>
      done(error === undefined ? parseIp(socket.address().address) : undefined),
    );
  });
}

/** A server by its link-local address is passed over: its link is not told. */
function systemServers(): readonly IpAddress[] {
  return new Resolver().getServers().flatMap((text) => parseIp(text) ?? []);
}

/** An answer to this question and no other (RFC 5452 §9.1); where it comes from the connected socket sees to. */
function answerTo({ name, type }: DnsQuestion, id: number, bytes: Uint8Array): DnsResponse | undefined {
  const decoded = decodeDnsResponse(bytes);
  if (!decoded.ok) return undefined;
  const { question } = decoded.value;
  const fits = decoded.value.id === id && question.type === type && question.name === name.toLowerCase();
  return fits ? decoded.value : undefined;
}

function overUdp({ server, source, port }: Ends, question: DnsQuestion): Promise<DnsResponse | undefined> {
  return new Promise((resolve) => {
    const id = randomInt(0x10000);
    const socket = createSocket(familyOf(server) === 4 ? "udp4" : "udp6");
    let open = true;
    const done = (answer: DnsResponse | undefined): void => {
      if (!open) return;
      open = false;
      cancel();
      socket.close();
      resolve(answer);
    };
    const cancel = clock.setTimer(ANSWER_MS, () => done(undefined));
    socket.on("error", () => done(undefined));
    socket.on("message", (bytes) => {
      // Somebody's guess is not the end: the server's own answer may still come.
      const answer = answerTo(question, id, Uint8Array.from(bytes));
      if (answer !== undefined) done(answer);
    });
    socket.bind({ port: 0, ...(source !== undefined && { address: source }) }, () => {
      // Without a way to the server it is called with the error.
      const connected = (error?: Error): void => {
        if (error !== undefined) done(undefined);
        else if (open) socket.send(encodeDnsQuery(id, question), (failure) => failure && done(undefined));
      };
      socket.connect(port, server, connected);
    });
  });
}

/** Each message has its length before it (RFC 1035 §4.2.2). */
function overTcp({ server, source, port }: Ends, question: DnsQuestion): Promise<DnsResponse | undefined> {
  return new Promise((resolve) => {
    const id = randomInt(0x10000);
    const socket = connect({ host: server, port, ...(source !== undefined && { localAddress: source }) });
    let received = Buffer.alloc(0);
    const done = (answer: DnsResponse | undefined): void => {
      cancel();
      socket.destroy();
      resolve(answer);
    };
    const cancel = clock.setTimer(ANSWER_MS, () => done(undefined));
    socket.on("error", () => done(undefined));
    socket.on("close", () => done(undefined));
    socket.on("connect", () => {
      const query = encodeDnsQuery(id, question);
      socket.write(Buffer.concat([Uint8Array.of(query.length >> 8, query.length & 0xff), query]));
    });
    socket.on("data", (bytes) => {
      received = Buffer.concat([received, bytes]);
      if (received.length < 2) return;
      const length = received.readUInt16BE(0);
      if (received.length >= 2 + length)
        done(answerTo(question, id, Uint8Array.from(received.subarray(2, 2 + length))));
    });
  });
}
