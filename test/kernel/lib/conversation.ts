/** What goes to and fro all the time, while a test moves things: echo requests, and a connection whose repetitions the kernel counts. */
import type { Ipv6Address } from "../../../controller/base/ip.js";
import type { Background } from "./process.js";
import type { Node } from "./topology.js";
import { waitFor } from "./wait.js";

/** Echo requests that are answered one by one, until it is stopped; ends with what was sent and received. */
export class Echoes {
  readonly #process: Background;

  constructor(from: Node, source: Ipv6Address, to: Ipv6Address, interval = "0.05") {
    this.#process = from.spawn(["ping", "-6", "-i", interval, "-W", "1", "-O", "-I", source, to]);
  }

  /** Waits for another few answers from now on. */
  async more(count = 5): Promise<void> {
    const seen = (): number => this.#process.stdout.match(/bytes from/g)?.length ?? 0;
    const wanted = seen() + count;
    await waitFor(() => seen() >= wanted, { what: `${count} answers more`, timeout: 20_000 });
  }

  /** The numbers of the requests that had no answer; it goes on. To be asked when what was asked late may have come. */
  unanswered(): readonly number[] {
    const answered = new Set(
      [...this.#process.stdout.matchAll(/bytes from.*icmp_seq=(\d+)/g)].map(([, n]) => Number(n)),
    );
    const last = Math.max(0, ...answered);
    return Array.from({ length: last }, (_, i) => i + 1).filter((n) => !answered.has(n));
  }

  async lost(): Promise<number> {
    await this.#process.stop("SIGINT");
    const [, sent, received] = /(\d+) packets transmitted, (\d+) received/.exec(this.#process.stdout) ?? [];
    return Number(sent) - Number(received);
  }
}

const SERVER = `
import socket
s=socket.socket(10,1); s.setsockopt(1,2,1); s.bind(('::',7)); s.listen(5); print('listening',flush=True)
c,_=s.accept()
while 1:
  d=c.recv(99)
  if not d: break
  c.sendall(d)
`;
const CLIENT = `
import socket,sys,time
s=socket.socket(10,1); s.bind((sys.argv[1],0)); s.connect((sys.argv[2],7)); n=0
while 1:
  s.send(b'x'); n+=len(s.recv(9)); print('round',n,flush=True); time.sleep(.02)
`;

/** A connection that asks and is answered all the time. */
export async function connection(from: Node, source: Ipv6Address, server: Node, to: Ipv6Address) {
  const listening = server.spawn(["python3", "-c", SERVER], { name: "server" });
  await listening.waitForLog(/listening/);
  const client = from.spawn(["python3", "-c", CLIENT, source, to], { name: "client" });
  const rounds = (): number => Number(/.*round (\d+)/s.exec(client.stdout)?.[1] ?? 0);
  const more = async (count = 5): Promise<void> => {
    const wanted = rounds() + count;
    await waitFor(() => rounds() >= wanted, { what: `${count} more rounds of the connection`, timeout: 20_000 });
  };
  await more();
  return { more };
}

/** Segments that the kernel has sent again. */
export const repeated = (node: Node): number => node.counters("TcpRetransSegs")["TcpRetransSegs"] ?? 0;
