import t from "tap";
import { fromHex, toHex } from "../../../../controller/base/bytes.js";
import { EncodeError } from "../../../../controller/base/errors.js";
import { ipv4, ipv6 } from "../../../../controller/base/ip.js";
import { decodeSocketAddress, encodeSocketAddress, type SocketAddress } from "../../../../controller/io/ip/address.js";

/** struct sockaddr of a little-endian machine, in both directions. */
const CASES: readonly { readonly name: string; readonly hex: string; readonly value: SocketAddress }[] = [
  {
    name: "inet",
    hex: "0200 105f c6336401 0000000000000000",
    value: { family: "inet", address: ipv4("198.51.100.1"), port: 4191 },
  },
  {
    name: "inet6 with flow label and scope",
    hex: "0a00 105f 000abcde fe800000000000000000000000000001 07000000",
    value: { family: "inet6", address: ipv6("fe80::1"), port: 4191, flowLabel: 0xabcde, scopeId: 7 },
  },
  { name: "netlink", hex: "1000 0000 39300000 11000000", value: { family: "netlink", portId: 12345, groups: 17 } },
  { name: "unix path", hex: "0100 2f72756e2f6100", value: { family: "unix", path: "/run/a" } },
  { name: "unix abstract", hex: "0100 0061", value: { family: "unix", path: "\0a" } },
];

t.test("addresses are the octets of struct sockaddr, both ways", async (t) => {
  for (const { name, hex, value } of CASES) {
    t.equal(toHex(encodeSocketAddress(value)), hex.replaceAll(" ", ""), `${name} encodes`);
    t.strictSame(decodeSocketAddress(fromHex(hex)), value, `${name} decodes`);
  }
});

t.test("a received packet address carries what the kernel adds", async (t) => {
  const decoded = decodeSocketAddress(fromHex("1100 0806 03000000 0100 01 06 020000000001 0000"));
  t.strictSame(decoded, {
    family: "packet",
    protocol: 0x0806,
    interfaceIndex: 3,
    hardwareType: 1,
    packetType: 1,
    address: fromHex("020000000001"),
  });
  const sent = encodeSocketAddress({
    family: "packet",
    protocol: 0x0806,
    interfaceIndex: 3,
    address: fromHex("ffffffffffff"),
  });
  t.equal(toHex(sent), "1100080603000000000000 06 ffffffffffff 0000".replaceAll(" ", ""));
});

t.test("what is no address is undefined, what does not fit is an EncodeError", async (t) => {
  for (const hex of ["", "02", "0200105f", "0a00105f00000000", "ffff00000000", "1000000000"]) {
    t.equal(decodeSocketAddress(fromHex(hex)), undefined, hex);
  }
  const wrong: SocketAddress[] = [
    { family: "inet", address: ipv4("192.0.2.1"), port: 65536 },
    { family: "inet6", address: ipv6("::1"), port: -1 },
    { family: "inet6", address: ipv6("::1"), port: 0, flowLabel: 0x100000 },
    { family: "netlink", portId: 1.5, groups: 0 },
    { family: "packet", protocol: 0, interfaceIndex: 1, address: new Uint8Array(9) },
    { family: "unix", path: "x".repeat(108) },
  ];
  for (const address of wrong) t.throws(() => encodeSocketAddress(address), EncodeError, JSON.stringify(address));
});
