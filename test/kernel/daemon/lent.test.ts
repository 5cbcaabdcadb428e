/**
 * Addresses and networks on loan with real daemons at both ends: asked for by nodes that are told none, reached by a correspondent through
 * every move, and the same after both daemons were killed.
 */
import assert from "node:assert/strict";
import test from "node:test";
import { ipv4, ipv6 } from "../../../controller/base/ip.js";
import { asPlanned } from "../lib/as-planned.js";
import { freshText } from "../lib/exchange.js";
import { FAMILIES, Scene } from "../lib/scene.js";
import { ScriptedHome } from "../lib/scripted-home.js";
import { Station } from "../lib/station.js";
import { waitFor } from "../lib/wait.js";

const ADDRESS = "198.51.100.129";
const [SIX, FOUR] = ["2001:db8:200::/64", "10.64.0.0/28"];
const POOLS = {
  duplicateAddressDetection: false,
  ipv4Pool: { prefixes: ["198.51.100.128/25"] },
  prefixPool: { prefixes: ["10.64.0.0/16", "2001:db8:200::/40"] },
};
const LOANS = { ipv4HomeAddress: "dynamic", prefixes: "dynamic", prefixLengths: { ipv4: [28], ipv6: [64] } };

const LOANS_OF_IPV4 = { ...LOANS, prefixLengths: { ipv4: [28] } };

test("a mobile router whose address and networks are lent to it", async (t) => {
  const scene = await Scene.start(t, {
    homeAgent: POOLS,
    mobileNode: LOANS,
    subscriber: { ipv4HomeAddress: undefined, prefixes: "dynamic" },
  });
  const { mobile } = scene;
  const { node, daemon } = mobile;
  scene.core.ip("route add 10.64.0.0/16 via 203.0.113.1", "route add 2001:db8:200::/40 via 2001:db8:f::1");
  node.ip("link add inside type dummy", "link set inside up");
  const stations: Station[] = [];
  t.after(() => {
    for (const station of stations) station.close();
  });

  /** A packet each way between the correspondent and the lent address, and one in each lent network. */
  async function talk(): Promise<void> {
    for (const station of stations) {
      const correspondent = scene.correspondents[station.address.includes(":") ? 6 : 4];
      for (const [from, to] of [
        [correspondent, station],
        [station, correspondent],
      ] as const) {
        const text = freshText(`${from.address} to ${to.address}`);
        from.send(to, text);
        await to.waitFor(text);
      }
    }
  }
  async function lent(): Promise<void> {
    for (const one of [daemon, scene.homeAgent]) {
      const [binding] = await one.bindings();
      assert.equal(binding?.ipv4HomeAddress, ADDRESS);
      assert.deepEqual([...(binding?.prefixes ?? [])].sort(), [FOUR, SIX]);
    }
  }

  await t.test("R5555-3.1.1-11 R5555-3.2.1-05: it is told its address and networks, and they are reached", async () => {
    await daemon.start();
    await scene.move(mobile, "six");
    await lent();
    node.ip("address add 10.64.0.1/28 dev inside", "address add 2001:db8:200::1/64 dev inside nodad");
    stations.push(
      new Station(node, ipv4(ADDRESS)),
      new Station(node, ipv4("10.64.0.1")),
      new Station(node, ipv6("2001:db8:200::1")),
    );
    await talk();
    assert.equal((await daemon.audit()).differences.length, 0);
  });

  await t.test("R5555-4.5-07: they are the same elsewhere, over IPv4 behind a NAT too", async () => {
    for (const access of ["nat", "six"] as const) {
      await scene.move(mobile, access);
      await lent();
      await talk();
    }
  });

  await t.test("R5555-4.5-06: and after both daemons were killed", async () => {
    await Promise.all([daemon.kill(), scene.homeAgent.kill()]);
    await talk();
    await scene.homeAgent.start();
    await daemon.start();
    await scene.settled(mobile, "six");
    await lent();
    await talk();
    await asPlanned(daemon, scene.homeAgent);
  });

  await t.test("at home they are given back: on no device, and with no route", async () => {
    await scene.move(mobile, "home");
    const routes = (): string => scene.ha.script("ip -4 route show proto 155; ip -6 route show proto 155");
    await waitFor(() => !/10\.64|2001:db8:200/.test(routes()), { what: "no route to what was lent" });
    const addresses = FAMILIES.map((family) => node.script(`ip -${family} address show`)).join("");
    assert.doesNotMatch(addresses, new RegExp(ADDRESS));
  });
});

test("how a node asks for loans, octet by octet", async (t) => {
  const option30 = (status: number, prefixLength: number, address: string) =>
    ({ kind: "ipv4-address-acknowledgement", status, prefixLength, address: ipv4(address) }) as const;
  const network = option30(0, 27, "10.64.0.32");
  const home = new ScriptedHome(
    t,
    [4],
    ({ message }) => ({
      mobileRouter: message.flags.mobileRouter,
      options: [option30(132, 0, "0.0.0.0"), network],
    }),
    LOANS_OF_IPV4,
  );
  await home.open();
  const octets = async (count: number): Promise<string> =>
    Buffer.from((await home.update(count)).octets).toString("hex");

  await t.test("R5555-2.5-01 R5555-4.4.2-06 R5555-4.4.2-13: 0.0.0.0 for an address, without P", async () => {
    assert.match(await octets(0), /1d06800000000000/);
  });

  await t.test("R5555-3.1.1-03 R5555-3.1.1-06 R5555-4.4.2-07: P and the wanted length for a network", async () => {
    assert.match(await octets(0), /1d06720000000000/, "28 bits");
    const binding = await home.registered();
    assert.deepEqual([binding.ipv4HomeAddress, binding.prefixes], [null, ["10.64.0.32/27"]]);
    assert.match(home.mn.script("ip -4 rule show"), /from 10\.64\.0\.32\/27 lookup 4191/);
  });

  await t.test(
    "R5555-4.4.2-22 R5555-3.1.1-04: what was refused is asked for again, what was granted with its length",
    async () => {
      home.answerWith(({ message }) => ({
        mobileRouter: message.flags.mobileRouter,
        options: [option30(0, 32, ADDRESS), network],
      }));
      const again = await octets(1);
      assert.match(again, /1d06800000000000/);
      assert.match(again, /1d066e000a400020/);
      await waitFor(async () => (await home.state())?.ipv4HomeAddress === ADDRESS, { what: "the lent address" });
      await waitFor(() => home.mn.script("ip -4 address show dev dsmip-hoa").includes(ADDRESS), {
        what: "it on the node",
      });
    },
  );
});
