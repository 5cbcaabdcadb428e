/** What must be there before anything is touched: capabilities, devices, addresses and links. */
import { accessSync, constants, existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { fromHex, toHex } from "../base/bytes.js";
import { MissingError, MobilityError } from "../base/errors.js";
import {
  IPV4_ANY,
  type Ipv4Address,
  type Ipv6Address,
  ipToBytes,
  ipv6FromBytes,
  isIpv4,
  type Prefix,
  prefixContains,
} from "../base/ip.js";
import { openUdpSocket } from "../io/ip/udp-socket.js";
import { isSyscallError, type SyscallError } from "../io/native.js";
import { KernelError } from "../netlink/errors.js";
import type { KernelObject } from "../plan/objects/objects.js";
import { MIP4_PORT } from "../wire/mip4/registry.js";

/** Bit numbers of linux/capability.h. */
const CAPABILITIES = { CAP_NET_ADMIN: 12, CAP_NET_RAW: 13 } as const;

/** Throws MissingError that names what is missing and the command that brings it. */
export function checkPrivileges(status = readFileSync("/proc/self/status", "utf8")): void {
  const effective = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? "0"}`);
  const missing = Object.entries(CAPABILITIES).filter(([, bit]) => ((effective >> BigInt(bit)) & 1n) === 0n);
  if (missing.length > 0) {
    const names = missing.map(([name]) => name).join(" and ");
    throw new MissingError(
      `dsmipd has no ${names}; run it as root, or in a container with --cap-add=NET_ADMIN --cap-add=NET_RAW`,
    );
  }
}

const TUN_PATH = "/dev/net/tun";

/** Throws MissingError if there is no TUN device to be opened. */
export function checkTun(path = TUN_PATH): void {
  let code: string;
  try {
    if (!statSync(path).isCharacterDevice())
      throw new MissingError(`${path} is no device; make it: rm -rf ${path}; mknod ${path} c 10 200`);
    return accessSync(path, constants.R_OK | constants.W_OK);
  } catch (cause) {
    if (cause instanceof MissingError) throw cause;
    code = (cause as NodeJS.ErrnoException).code ?? String(cause);
  }
  throw new MissingError(tunDeviceRefusal(code, path));
}

/** Why the file cannot be opened, by the C name of the error, and what helps. */
export function tunDeviceRefusal(code: string, path = TUN_PATH, isRoot = process.geteuid?.() === 0): string {
  if (code === "ENOENT" || code === "ENODEV" || code === "ENXIO")
    return `${path} is missing; run: modprobe tun (in a container: --device ${path})`;
  if (code === "EACCES" && isRoot)
    return `${path} may not be opened, by root neither (EACCES): it lies on a file system that is mounted nodev; run: mount -o remount,dev on it (in a container: --device ${path})`;
  if (code === "EACCES")
    return `${path} may not be opened by this user (EACCES); run: chmod 0666 ${path}, or start dsmipd as root`;
  if (code === "EPERM")
    return `${path} may not be opened (EPERM): the container's list of devices leaves it out; start it with --device ${path}`;
  return `${path} cannot be opened (${code})`;
}

/** Of the machine that this process sees: whether there is a network device of this name. */
export function deviceExists(name: string, devices = procNet("dev")): boolean {
  return [...devices.matchAll(/^\s*(\S+):/gm)].some(([, device]) => device === name);
}

/** Throws MobilityError if this machine does not have the address: nodes could send their updates nowhere. `without`: links that are without IPv6. */
export function checkIpv6Address(
  address: Ipv6Address,
  addresses = procNet("if_inet6"),
  without = linksWithoutIpv6(),
  key = "homeAgent.addresses.ipv6",
): void {
  const digits = toHex(ipToBytes(address));
  if (addresses.split("\n").some((line) => line.startsWith(digits))) return;
  const off = without.map((device) => `net/ipv6/conf/${device}/disable_ipv6=0`);
  const perhaps =
    off.length === 0
      ? ""
      : ` (IPv6 is switched off on ${without.join(", ")}, which takes its addresses away: sysctl -w ${off.join(" ")}, then add them again)`;
  throw new MobilityError(
    "MIP_ADDRESS",
    `${address} is not an address of this machine; add it (ip -6 address add ${address} dev …) or correct ${key}${perhaps}`,
  );
}

/** Throws MobilityError if this machine does not have the address. `key`: where the configuration has it. */
export function checkIpv4Address(key: string, address: Ipv4Address): void {
  try {
    openUdpSocket({ family: 4, address }).close();
  } catch (error) {
    if (!isSyscallError(error) || error.code !== "EADDRNOTAVAIL") throw error;
    throw new MobilityError(
      "MIP_ADDRESS",
      `${key} is ${address}, which is not an address of this machine; add it (ip address add ${address}/… dev …) or correct it`,
      { cause: error },
    );
  }
}

/** Throws MobilityError if there is no such network device, or if it is without IPv6. */
export function checkHomeLink(device: string, devices = procNet("dev"), without = linksWithoutIpv6()): void {
  const names = [...devices.matchAll(/^\s*(\S+):/gm)].map(([, name]) => name);
  if (without.includes(device))
    throw new MissingError(
      `IPv6 is switched off on ${device}, which is homeAgent.homeLink.interface; run: sysctl -w net/ipv6/conf/${device}/disable_ipv6=0, and give it its addresses again`,
    );
  if (names.includes(device)) return;
  throw new MobilityError(
    "MIP_LINK",
    `homeAgent.homeLink.interface is ${device}, and there is no such network device (there are: ${names.join(", ")}); make it first or correct the name`,
  );
}

/**
 * The route by which the home link has this home prefix, if it is shorter than the prefix and there is none of the same length. Then our
 * own last route for the prefix, which refuses, is the better one, and nodes at home are unreachable.
 */
export function shorterHomeRoute(prefix: Prefix, device: string, routes = procNet("ipv6_route")): Prefix | undefined {
  if (isIpv4(prefix.address)) return undefined;
  const onLink = routes.split("\n").flatMap((line): Prefix[] => {
    const fields = line.trim().split(/\s+/);
    const [destination = "", length = ""] = fields;
    if (fields.at(-1) !== device || !/^[0-9a-f]{32}$/.test(destination)) return [];
    return [{ address: ipv6FromBytes(fromHex(destination)), length: Number.parseInt(length, 16) }];
  });
  const covering = onLink.filter((one) => one.length > 0 && prefixContains(one, prefix.address));
  return covering.some(({ length }) => length === prefix.length)
    ? undefined
    : covering.find(({ length }) => length < prefix.length);
}

/** Links on which IPv6 alone is switched off. */
function linksWithoutIpv6(): readonly string[] {
  const directory = "/proc/sys/net/ipv6/conf";
  if (!existsSync(directory)) return [];
  return readdirSync(directory).filter((link) => {
    if (link === "all" || link === "default") return false;
    try {
      return readFileSync(`${directory}/${link}/disable_ipv6`, "utf8").trim() === "1";
    } catch {
      return false; // ignored: it has just gone
    }
  });
}

/** A file of the kernel about the network namespace that this process is in. No such file: nothing of the kind. */
function procNet(name: string): string {
  const path = `/proc/net/${name}`;
  return existsSync(path) ? readFileSync(path, "utf8") : "";
}

const REMEDY: Partial<Record<KernelObject["kind"], (object: KernelObject) => string>> = {
  "fou-port": () => "modprobe fou",
  "nft-table": () => "modprobe nf_tables",
  "nft-element": () => "modprobe nf_tables",
  "xfrm-state": (object) =>
    object.kind === "xfrm-state" && object.transform.type === "esp" ? "modprobe esp6" : "modprobe mip6",
  "xfrm-policy": () => "modprobe xfrm_user",
  "policy-hash": () => "modprobe xfrm_user",
  route: () => "modprobe ip6_tunnel",
  qdisc: () => "modprobe sch_ingress",
  filter: () => "modprobe cls_flower act_pedit act_mirred",
  link: (object) =>
    object.kind === "link" ? `modprobe ${object.link.type === "ip6tnl" ? "ip6_tunnel" : object.link.type}` : "",
};

/** Somebody has a UDP port of ours, and how to find out who. */
export const udpPortInUse = (address: string, port: number): string =>
  `UDP port ${port} of ${address} is in use; another dsmipd, or a program to stop (ss -ulpn sport = :${port} names it)`;

/** Why a socket of Mobile IPv4 cannot be opened, and what helps. */
export function mip4SocketRefusal({ code, message }: SyscallError): string {
  if (code === "EADDRINUSE") return udpPortInUse(IPV4_ANY, MIP4_PORT);
  if (code === "EACCES")
    return `UDP port ${MIP4_PORT} may not be opened (EACCES): dsmipd has no CAP_NET_BIND_SERVICE; run it as root, or in a container with --cap-add=NET_BIND_SERVICE`;
  return `a socket of Mobile IPv4 cannot be opened: ${message}`;
}

/** By these a kernel says that it has no such thing at all. */
const UNSUPPORTED: ReadonlySet<string> = new Set(["EPROTONOSUPPORT", "EOPNOTSUPP", "EAFNOSUPPORT"]);

/** The error a person can act on when the kernel refuses an object for want of a module or of its port; otherwise the kernel's own. */
export function explainRefusal(object: KernelObject, error: MobilityError, command: string): MobilityError {
  const errno = error instanceof KernelError ? error.errnoName : "";
  if (object.kind === "fou-port" && errno === "EADDRINUSE")
    return new MobilityError("MIP_SOCKET", udpPortInUse(object.local ?? "0.0.0.0", object.port), { cause: error });
  if (object.kind === "link" && object.link.type === "gre" && object.link.external && errno === "EEXIST")
    return new MobilityError(
      "MIP_LINK",
      `${error.message}; the kernel has one external gre device for a network namespace: remove the other one, or set homeAgent.mip4.gre to false, or foreignAgent.gre at a foreign agent`,
      { cause: error },
    );
  const unknownFamily = errno === "ENOENT" && (object.kind === "fou-port" || object.kind === "nft-table");
  const lacksModule = error instanceof MissingError || UNSUPPORTED.has(errno) || unknownFamily;
  const remedy = REMEDY[object.kind]?.(object);
  if (!lacksModule || remedy === undefined) return error;
  return new MissingError(
    `the kernel cannot do: ${command}; run: ${remedy} (Debian: the package linux-image-amd64 has it, the cloud kernels do not)`,
    { cause: error },
  );
}
