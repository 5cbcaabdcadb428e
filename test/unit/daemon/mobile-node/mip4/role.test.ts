/** What of the machine a node of Mobile IPv4 asks for: nothing of IPv6's signalling, and none of the two names of a node is another one's. */
import t from "tap";
import { fromHex } from "../../../../../controller/base/bytes.js";
import { MobilityError } from "../../../../../controller/base/errors.js";
import { ipv4, ipv6 } from "../../../../../controller/base/ip.js";
import { Secret } from "../../../../../controller/base/secret.js";
import type { Mip4Keys } from "../../../../../controller/config/keys.js";
import {
  isMadeUp,
  nodeNameOf as nameOfSubscriber,
} from "../../../../../controller/daemon/home-agent/mip4/node-names.js";
import { type Mip4NodeMachine, startMip4Node } from "../../../../../controller/daemon/mobile-node/mip4/role.js";
import type { OpenOptions } from "../../../../../controller/daemon/open-platform.js";
import type { Logger } from "../../../../../controller/log.js";
import { nodeNameOf } from "../../../../../controller/protocol/mip4/node-name.js";
import { mip4NodeConfig } from "../../../../../schemas/config/mip4-node.js";

const HOA = ipv4("198.51.100.10");

t.test("no TUN device and no Mobility Header socket is opened for it", async (test) => {
  const config = mip4NodeConfig.parse({
    ...{ role: "mobile-node", protocol: "mip4", stateDirectory: "/state", controlSocket: "/socket" },
    mobileNode: { homeAddress: HOA, homeAgent: "203.0.113.1" },
  });
  const key = { ...{ node: HOA, spi: 256, algorithm: "hmac-md5" }, key: new Secret(fromHex("00".repeat(16))) };
  const keys = { mobileHome: [key], mobileForeign: [], foreignHome: [] } as unknown as Mip4Keys;
  const asked: OpenOptions[] = [];
  const machine: Mip4NodeMachine = {
    openPlatform: (options) => {
      asked.push(options);
      return Promise.reject(new MobilityError("MIP_SOCKET", "enough"));
    },
    openService: () => Promise.reject(new MobilityError("MIP_SOCKET", "not asked for")),
  };
  await test.rejects(startMip4Node(config, keys, {} as Logger, machine), /enough/);
  test.match(asked, [{ addresses: [HOA], ipv4Only: true }]);
});

t.test("a node has one name at both ends, and an IPv6 home address is none that is made up", async (test) => {
  const name = nodeNameOf(HOA);
  test.equal(nameOfSubscriber({ homeAddress: undefined, ipv4HomeAddress: HOA, nai: undefined }), name);
  test.ok(isMadeUp(name));
  test.ok(isMadeUp(nameOfSubscriber({ homeAddress: undefined, ipv4HomeAddress: undefined, nai: "a@example.org" })));
  test.notOk(isMadeUp(ipv6("2001:db8:1::10")));
});
