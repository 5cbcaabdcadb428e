import t from "tap";
import { CHECK_COMMANDS, findLeftovers } from "../../demo/leftovers.js";

/** Outputs of iproute2 6.1 and nftables 1.0.6 in a namespace without anything of dsmipd, as far as the checks look. */
const CLEAN: Readonly<Record<string, string>> = {
  "ip -j link show": '[{"ifindex":1,"ifname":"lo"},{"ifindex":6,"link":null,"ifname":"sit0"}]',
  "ip -j addr show":
    '[{"ifname":"lo","addr_info":[{"family":"inet","local":"127.0.0.1"}]},{"ifname":"home1","addr_info":[{"local":"198.51.100.201"}]}]',
  "ip -4 -j route show table all": '[{"dst":"default","gateway":"10.0.0.1","dev":"nat7","protocol":"static"}]',
  "ip -6 -j route show table all": '[{"dst":"fe80::/64","dev":"nat7","protocol":"kernel"}]',
  "ip -4 -j rule show": '[{"priority":0,"src":"all","table":"local"}]',
  "nft -j list tables":
    '{"nftables": [{"metainfo": {"version": "1.0.6"}}, {"table": {"family": "ip", "name": "nat", "handle": 1}}]}',
};
const outputs = (dirty: Readonly<Record<string, string>> = {}): readonly string[] => {
  const all = { ...CLEAN, ...dirty };
  for (const command of Object.keys(all))
    if (!CHECK_COMMANDS.includes(command)) throw new Error(`no check runs ${command}`);
  return CHECK_COMMANDS.map((command) => all[command] ?? (command.includes("-j") ? "[]" : ""));
};

t.test("nothing of dsmipd", (test) => {
  test.strictSame(findLeftovers("mn1", outputs()), []);
  test.end();
});

t.test("one of each kind", (test) => {
  const cases: readonly { command: string; output: string; kind: string; object: string }[] = [
    { command: "ip -j link show", output: '[{"ifname":"dsmip-in4"}]', kind: "link", object: "dsmip-in4" },
    { command: "ip -j link show", output: '[{"ifname":"other","ifalias":"dsmipd"}]', kind: "link", object: "other" },
    {
      command: "ip -j addr show",
      output: '[{"ifname":"eth0","addr_info":[{"local":"198.51.100.102"}]}]',
      kind: "address",
      object: "198.51.100.102 dev eth0",
    },
    {
      command: "ip -j addr show",
      output: '[{"ifname":"eth0","addr_info":[{"local":"240.41.65.1","protocol":"155"}]}]',
      kind: "address",
      object: "240.41.65.1 dev eth0",
    },
    {
      command: "ip -6 -j route show table all",
      output: '[{"dst":"default","dev":"dsmip-t0","table":"4191","protocol":"155"}]',
      kind: "route",
      object: "default dsmip-t0 4191",
    },
    {
      command: "ip -4 -j rule show",
      output: '[{"priority":4191,"src":"198.51.100.101","table":"4191","protocol":"155"}]',
      kind: "rule",
      object: "4191 198.51.100.101 4191",
    },
    {
      command: "ip -6 -j neigh show proxy",
      output: '[{"dst":"2001:db8:1::101","dev":"home"}]',
      kind: "proxy neighbour",
      object: "2001:db8:1::101 home",
    },
    {
      command: "ip -j fou show",
      output: '[{"port":4191,"gue":null,"family":"inet"}]',
      kind: "fou port",
      object: "inet 4191",
    },
    {
      command: "nft -j list tables",
      output: '{"nftables": [{"table": {"family": "inet", "name": "dsmipd"}}]}',
      kind: "nft table",
      object: "inet dsmipd",
    },
    {
      command: "ip xfrm state",
      output: "src 2001:db8:1::101 dst 2001:db8:1::1\n\tproto esp spi 0x00001002 reqid 1 mode transport\n",
      kind: "xfrm state",
      object: "src 2001:db8:1::101 dst 2001:db8:1::1",
    },
    {
      command: "ip xfrm policy",
      output: "src ::/0 dst ::/0 \n\tdir in priority 1 ptype sub \n",
      kind: "xfrm policy",
      object: "src ::/0 dst ::/0 ",
    },
  ];
  for (const { command, output, kind, object } of cases) {
    test.strictSame(
      findLeftovers("ha", outputs({ [command]: output })),
      [{ machine: "ha", kind, object }],
      `${kind} ${object}`,
    );
  }
  test.end();
});

t.test("what the kernel notes down of a question is nothing of dsmipd's, a state of a direct path is", (test) => {
  const ends = "src 2001:db8:1::101 dst 2001:db8:c::2";
  const note = `${ends}\n\tproto hao reqid 1 mode ro\n\treplay-window 0\n`;
  const state = `${ends}\n\tproto hao reqid 1 mode ro\n\treplay-window 0 \n\tcoa 2001:db8:a::101\n`;
  test.strictSame(findLeftovers("mn1", outputs({ "ip xfrm state": note })), []);
  test.strictSame(findLeftovers("mn1", outputs({ "ip xfrm state": note + state })), [
    { machine: "mn1", kind: "xfrm state", object: ends },
  ]);
  test.end();
});

t.test("an answer that is none is an error, not a clean bill", (test) => {
  test.throws(() => findLeftovers("ha", outputs({ "ip -j link show": "Cannot open netlink socket" })), SyntaxError);
  test.throws(() => findLeftovers("ha", outputs().slice(1)));
  test.end();
});
