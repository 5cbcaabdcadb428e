/** New keys in the place of lost ones: whom the IKE daemon is asked for, how often, and when no more. */
import t from "tap";
import { type Ipv6Address, ipv6 } from "../../../controller/base/ip.js";
import type { Direction, Spent } from "../../../controller/ike/associations.js";
import { connectionName } from "../../../controller/ike/connections.js";
import type { IkeDaemonPort } from "../../../controller/ike/daemon-port.js";
import { ChildRenewal } from "../../../controller/ike/renewal.js";
import type { ViciSection } from "../../../controller/vici/message.js";
import { FakeTimers } from "../../lib/netlink-fake.js";

const [ONE, TWO] = [ipv6("2001:db8:1::100"), ipv6("2001:db8:1::200")];
const settle = async (): Promise<void> => {
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
};
const spent = (homeAddress: Ipv6Address, spi: number, direction: Direction = "send"): Spent => ({
  homeAddress,
  purpose: "payload",
  direction,
  spi,
});

class Daemon implements IkeDaemonPort {
  readonly asked: string[] = [];
  /** By home address, then by unique id: the SPIs in and out. */
  readonly children = new Map<Ipv6Address, Map<string, readonly [number, number]>>();
  down = false;
  readonly refused = new Set<string>();
  state = "INSTALLED";

  async command(name: string, section: ViciSection = {}): Promise<ViciSection> {
    const id = String(section["child-id"]);
    this.asked.push(`${name} ${id}`);
    if (this.down) throw new Error("the connection to charon was lost");
    if (this.refused.has(id)) throw new Error("no matching SAs to rekey found");
    return {};
  }

  async stream(name: string, { ike }: ViciSection): Promise<readonly ViciSection[]> {
    this.asked.push(`${name} ${typeof ike === "string" ? ike : "all"}`);
    if (this.down) throw new Error("the connection to charon was lost");
    return [...this.children]
      .filter(([node]) => ike === undefined || ike === connectionName(node))
      .map(([node, children]) => {
        const sas = [...children].map(([uniqueid, [spiIn, spiOut]]) => [
          `payload-${uniqueid}`,
          { uniqueid, state: this.state, "spi-in": spiIn.toString(16), "spi-out": spiOut.toString(16) },
        ]);
        return { [connectionName(node)]: { "child-sas": Object.fromEntries(sas) } };
      });
  }
}

function setup() {
  const daemon = new Daemon();
  daemon.children.set(ONE, new Map([["7", [0xc0000001, 0xc0000002]]]));
  const timers = new FakeTimers();
  const told: string[] = [];
  const renewal = new ChildRenewal({ daemon, setTimer: timers.set, onFailure: (reason) => told.push(reason) });
  const renew = async (...all: readonly Spent[]): Promise<readonly string[]> => {
    daemon.asked.length = 0;
    for (const one of all) renewal.renew(one);
    await settle();
    return daemon.asked;
  };
  const later = async (): Promise<readonly string[]> => {
    daemon.asked.length = 0;
    timers.tick();
    await settle();
    return daemon.asked;
  };
  return { daemon, renewal, told, renew, later };
}

t.test(
  "a child is rekeyed by its number, once for both its directions, and again until the IKE daemon has let it go",
  async (test) => {
    const { daemon, renew, later, told } = setup();
    const name = connectionName(ONE);
    test.strictSame(await renew(spent(ONE, 0xc0000002), spent(ONE, 0xc0000001, "receive")), [
      `list-sas ${name}`,
      "rekey 7",
    ]);
    test.strictSame(
      await later(),
      [`list-sas ${name}`, "rekey 7"],
      "it has been forgotten, or the other side did not answer",
    );
    daemon.children.set(ONE, new Map([["8", [0xc0000003, 0xc0000004]]]));
    test.strictSame(await later(), [`list-sas ${name}`], "it has others now");
    test.strictSame(await later(), []);
    test.strictSame(told, []);
  },
);

t.test("what the IKE daemon does not know is not asked for, nor an SPI of the other direction", async (test) => {
  const { renew, later } = setup();
  test.strictSame(await renew(spent(ONE, 0xc0000001)), [`list-sas ${connectionName(ONE)}`]);
  test.strictSame(await later(), []);
});

t.test(
  "few nodes are looked for one by one, many at once; a child that is refused keeps nobody else from new keys",
  async (test) => {
    const { daemon, renew, later, told } = setup();
    daemon.children.set(TWO, new Map([["9", [0xc0000005, 0xc0000006]]]));
    daemon.refused.add("7");
    test.strictSame(await renew(spent(ONE, 0xc0000002), spent(TWO, 0xc0000006)), [
      `list-sas ${connectionName(ONE)}`,
      `list-sas ${connectionName(TWO)}`,
      "rekey 7",
      "rekey 9",
    ]);
    test.strictSame(told, ["no matching SAs to rekey found"]);
    const strangers = Array.from({ length: 15 }, (_, i) => spent(ipv6(`2001:db8:2::${i + 1}`), 0xc0000009));
    test.strictSame((await renew(...strangers))[0], "list-sas all");
    test.strictSame((await later())[0], `list-sas ${connectionName(ONE)}`, "the others have nothing to renew");
  },
);

t.test("while the IKE daemon cannot be reached it is tried again, and not after the end", async (test) => {
  const { daemon, renew, later, renewal, told } = setup();
  daemon.down = true;
  test.strictSame(await renew(spent(ONE, 0xc0000002)), [`list-sas ${connectionName(ONE)}`]);
  test.strictSame(told, ["the connection to charon was lost"]);
  daemon.down = false;
  test.strictSame(await later(), [`list-sas ${connectionName(ONE)}`, "rekey 7"]);
  renewal.close();
  test.strictSame(await later(), []);
});

t.test("while a child is being rekeyed it is left in peace, and what has been replaced is done with", async (test) => {
  const { daemon, renew, later } = setup();
  const name = connectionName(ONE);
  daemon.state = "REKEYING";
  test.strictSame(await renew(spent(ONE, 0xc0000002)), [`list-sas ${name}`]);
  daemon.state = "INSTALLED";
  test.strictSame(await later(), [`list-sas ${name}`, "rekey 7"], "that came to nothing");
  daemon.state = "DELETED";
  test.strictSame(await later(), [`list-sas ${name}`]);
  test.strictSame(await later(), []);
});
