import t from "tap";
import { ipv4 } from "../../../../controller/base/ip.js";
import { ConnectedNetworks } from "../../../../controller/daemon/home-agent/connected-networks.js";

t.test("network and broadcast addresses of the links are known, and looked at again when asked", (test) => {
  let cidr = "198.51.100.9/25";
  const networks = new ConnectedNetworks(() => ({
    up: [{ cidr }, { cidr: "2001:db8::1/64" }, { cidr: "203.0.113.1/31" }, { cidr: null }],
    gone: undefined,
  }));
  const edges = ["198.51.100.0", "198.51.100.127", "198.51.100.255", "198.51.100.9", "203.0.113.0", "203.0.113.1"];
  test.strictSame(
    edges.filter((address) => networks.isEdge(ipv4(address))),
    ["198.51.100.0", "198.51.100.127"],
  );
  cidr = "198.51.100.9/24";
  networks.refresh();
  test.equal(networks.isEdge(ipv4("198.51.100.255")), true);
  test.equal(networks.isEdge(ipv4("198.51.100.127")), false);
  test.end();
});
