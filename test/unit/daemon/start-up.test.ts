/**
 * Starts that must fail: one sentence on standard error that says what to do, exit code 1 (2 for wrong usage), and nothing left behind.
 * What needs no kernel module runs as the real program in namespaces of its own; the rest is shown on the functions that judge.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import t, { type Test } from "tap";
import { MissingError } from "../../../controller/base/errors.js";
import { ipv4, ipv6 } from "../../../controller/base/ip.js";
import { netlinkRefusal } from "../../../controller/daemon/kernel.js";
import {
  checkHomeLink,
  checkIpv6Address,
  checkPrivileges,
  checkTun,
  explainRefusal,
  shorterHomeRoute,
} from "../../../controller/daemon/preflight.js";
import { lockName } from "../../../controller/daemon/upkeep/address-lock.js";
import { holdDirectory } from "../../../controller/io/directory-lock.js";
import type { SyscallError } from "../../../controller/io/native.js";
import { EEXIST, EINVAL, ENOENT, EOPNOTSUPP } from "../../../controller/netlink/errno.js";
import { KernelError } from "../../../controller/netlink/errors.js";
import type { KernelObject } from "../../../controller/plan/objects/objects.js";

// Each start is a process; a loaded machine takes its time over thirty of them.
t.setTimeout(240_000);

const MAIN = fileURLToPath(new URL("../../../controller/main.js", import.meta.url));
const KEYS = `keys:
  - homeAddress: 2001:db8:1::100
    update: { spi: 4096, key: 0102030405060708090a0b0c0d0e0f1011121314 }
    acknowledgement: { spi: 4097, key: 0102030405060708090a0b0c0d0e0f1011121315 }
`;
const HOME_AGENT = (directory: string): string => `role: home-agent
controlSocket: ${directory}/control.sock
stateDirectory: ${directory}/state
keyFile: keys.yaml
homeAgent:
  addresses: { ipv6: "2001:db8:1::1", ipv4: 203.0.113.1 }
  homeLink: { interface: home, prefixes: ["2001:db8:1::/64", 198.51.100.0/24] }
subscribers:
  - homeAddress: 2001:db8:1::100
`;

const FOREIGN_AGENT = (directory: string): string => `role: foreign-agent
controlSocket: ${directory}/control.sock
stateDirectory: ${directory}/state
foreignAgent:
  careOfAddress: 203.0.113.1
  links: [{ interface: home, address: 198.51.100.1/24 }]
`;
const MIP4_NODE = (directory: string): string => `role: mobile-node
protocol: mip4
controlSocket: ${directory}/control.sock
stateDirectory: ${directory}/state
keyFile: keys.yaml
mobileNode: { homeAddress: 198.51.100.100, homeAgent: 203.0.113.9 }
`;
const MIP4_KEYS = `mip4:
  - { association: mobile-home, node: 198.51.100.100, spi: 256, key: 00112233445566778899aabbccddeeff }
`;

interface Outcome {
  readonly status: number | null;
  readonly stderr: string;
  readonly stdout: string;
}

function directory(test: Test): string {
  const path = mkdtempSync(join(tmpdir(), "dsmipd-start-"));
  test.teardown(() => rmSync(path, { recursive: true }));
  chmodSync(path, 0o755);
  writeFileSync(join(path, "dsmipd.yaml"), HOME_AGENT(path));
  writeFileSync(join(path, "keys.yaml"), KEYS, { mode: 0o600 });
  return path;
}

function dsmipd(...args: readonly string[]): Outcome {
  return spawnSync(process.execPath, [MAIN, ...args], { encoding: "utf8", timeout: 60_000 });
}

/**
 * A network namespace in which a home agent has all it needs but the kernel, and forwards already: that switch it leaves on. The kernel
 * makes the routes of an IPv6 address in a work queue of its own, the anycast one last; on a loaded machine that is later than `ip` ends.
 */
const SCENE = `set -e
sysctl -qw net.ipv6.conf.all.forwarding=1 net.ipv4.ip_forward=1
ip link set lo up
ip link add home type bridge
ip link set home addrgenmode none
ip link set home up
ip address add 198.51.100.1/24 dev home
ip address add 2001:db8:1::1/64 dev home nodad
ip address add 203.0.113.1/32 dev lo
until ip -6 route show table local | grep -q '^anycast 2001:db8:1:: dev home'; do :; done
`;
/** What there is of devices, routes, rules, IPsec and nftables. */
const INVENTORY = `ip -o link | cut -d: -f2; ip route show table all; ip -6 route show table all | sort; ip rule; ip -6 rule; ip xfrm state; ip xfrm policy; nft list tables
`;

/** Runs the program in network and mount namespaces of its own after \`changes\`. */
function inNamespace(
  path: string,
  changes: string,
  launch = "",
): Outcome & { readonly before: string; readonly after: string } {
  const inventory = `{ ${INVENTORY.trim()}; }`;
  const script = `${SCENE}${changes}
${inventory} > ${path}/before
set +e
${launch} ${process.execPath} ${MAIN} run --config ${path}/dsmipd.yaml
status=$?
${inventory} > ${path}/after
exit $status`;
  const { status, stderr, stdout } = spawnSync("unshare", ["--net", "--mount", "bash", "-c", script], {
    encoding: "utf8",
    timeout: 60_000,
  });
  const read = (name: string): string => execFileSync("cat", [join(path, name)], { encoding: "utf8" });
  return { status, stderr, stdout, before: read("before"), after: read("after") };
}

const namespaces =
  spawnSync("unshare", ["--net", "--mount", "sh", "-c", "ip link add probe type bridge && nft add table inet probe"])
    .status === 0;
const needsRoot = namespaces ? false : "needs root, network namespaces and nftables";
/** Where the kernel has everything the start succeeds; that is the kernel tests' business. */
const lacksFou =
  namespaces && spawnSync("unshare", ["--net", "ip", "fou", "add", "port", "4191", "gue"]).status !== 0
    ? false
    : "needs root, and a kernel without fou";

function failsWith(test: Test, outcome: Outcome, sentence: RegExp): void {
  test.equal(outcome.status, 1);
  test.match(outcome.stderr, sentence);
  test.equal(outcome.stderr.trimEnd().split("\n").length, 1, "one line");
  test.match(outcome.stderr, /^dsmipd: /);
}

const STARTS: readonly {
  name: string;
  changes?: string;
  launch?: string;
  prepare?: (path: string) => void;
  says: RegExp;
}[] = [
  {
    name: "without CAP_NET_ADMIN",
    launch: "setpriv --bounding-set=-net_admin --inh-caps=-net_admin",
    says: /dsmipd has no CAP_NET_ADMIN; run it as root, or in a container with --cap-add=NET_ADMIN/,
  },
  {
    name: "without CAP_NET_RAW",
    launch: "setpriv --bounding-set=-net_raw --inh-caps=-net_raw",
    says: /has no CAP_NET_RAW; run it as root/,
  },
  ...[FOREIGN_AGENT, MIP4_NODE].map((config) => ({
    name: `without CAP_NET_BIND_SERVICE: ${config.name}`,
    launch: "setpriv --bounding-set=-net_bind_service --inh-caps=-net_bind_service",
    prepare: (path: string) => {
      writeFileSync(join(path, "dsmipd.yaml"), config(path));
      writeFileSync(join(path, "keys.yaml"), MIP4_KEYS, { mode: 0o600 });
    },
    says: /UDP port 434 may not be opened \(EACCES\): dsmipd has no CAP_NET_BIND_SERVICE; run it as root/,
  })),
  {
    name: "without /dev/net/tun",
    changes: "mkdir -p /dev/net; mount -t tmpfs none /dev/net",
    says: /\/dev\/net\/tun is missing; run: modprobe tun/,
  },
  {
    name: "/dev/net/tun on a file system without devices",
    changes: "mkdir -p /dev/net; mount -t tmpfs -o nodev none /dev/net; mknod /dev/net/tun c 10 200",
    says: /\/dev\/net\/tun may not be opened, by root neither \(EACCES\): .* mounted nodev; run: .*--device \/dev\/net\/tun/,
  },
  {
    name: "/dev/net/tun that belongs to root, and another user with the capabilities",
    changes: "mkdir -p /dev/net; mount -t tmpfs none /dev/net; mknod /dev/net/tun c 10 200; chmod 0600 /dev/net/tun",
    launch:
      "setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=+net_admin,+net_raw --ambient-caps=+net_admin,+net_raw",
    prepare: (path) => {
      chownSync(path, 65534, 65534);
      chownSync(join(path, "keys.yaml"), 65534, 65534);
    },
    says: /\/dev\/net\/tun may not be opened by this user \(EACCES\); run: chmod 0666 \/dev\/net\/tun, or start dsmipd as root/,
  },
  {
    name: "home agent IPv6 address not on this machine",
    changes: "ip address del 2001:db8:1::1/64 dev home",
    says: /2001:db8:1::1 is not an address of this machine; add it \(ip -6 address add .*\) or correct homeAgent\.addresses\.ipv6/,
  },
  {
    name: "IPv6 switched off on the home link alone",
    changes: "sysctl -qw net.ipv6.conf.home.disable_ipv6=1",
    says: /IPv6 is switched off on home, which is homeAgent\.homeLink\.interface; run: sysctl -w net\/ipv6\/conf\/home\/disable_ipv6=0/,
  },
  {
    name: "IPv6 switched off on the link of the home agent's address alone",
    changes: `ip link add uplink type bridge
ip address del 2001:db8:1::1/64 dev home
ip address add 2001:db8:1::1/64 dev uplink
sysctl -qw net.ipv6.conf.uplink.disable_ipv6=1`,
    says: /2001:db8:1::1 is not an address of this machine; .*IPv6 is switched off on uplink, which takes its addresses away: sysctl -w net\/ipv6\/conf\/uplink\/disable_ipv6=0/,
  },
  {
    name: "a network namespace of another user namespace",
    launch: "unshare --user --map-root-user",
    says: /2001:db8:1::1 cannot be held by the device mip6-\w{8}: dsmipd has no CAP_NET_ADMIN in this network namespace \(EPERM\)/,
  },
  {
    name: "home agent IPv4 address not on this machine",
    changes: "ip address del 203.0.113.1/32 dev lo",
    says: /203\.0\.113\.1 is not an address of this machine; add it .* or correct homeAgent\.addresses\.ipv4/,
  },
  {
    name: "home link not there",
    changes: "ip link set home name house",
    says: /homeAgent\.homeLink\.interface is home, and there is no such network device \(there are: .*house.*\)/,
  },
  {
    name: "journal of another role",
    prepare: (path) => {
      mkdirSync(join(path, "state"));
      writeFileSync(join(path, "state", "journal.ndjson"), '{"dsmipd":"journal","version":1,"role":"mobile-node"}\n');
    },
    says: /journal\.ndjson: belongs to a mobile-node; set another stateDirectory for this home-agent/,
  },
  {
    name: "state directory that cannot be made",
    prepare: (path) => writeFileSync(join(path, "state"), "a file"),
    says: /state: cannot be used \(E\w+\); check stateDirectory/,
  },
  {
    name: "the name of its lock taken by another kind of device",
    changes: `ip link add ${lockName(ipv6("2001:db8:1::1"))} type bridge`,
    says: /2001:db8:1::1 cannot be held by the device mip6-\w{8}: there is another kind of device of that name \(EINVAL\); remove it: ip link del mip6-/,
  },
  {
    name: "signalling port taken",
    changes: `${process.execPath} -e 'require("dgram").createSocket("udp4").bind(4192, "203.0.113.1", () => console.error); setTimeout(() => {}, 30000)' & taken=$!
trap 'kill $taken' EXIT
until grep -q ':1060 ' /proc/net/udp; do :; done`,
    says: /UDP port 4192 of 203\.0\.113\.1 is in use; .*ss -ulpn/,
  },
  {
    name: "TUN device of the name there",
    changes: "ip tuntap add dsmip-sig mode tun",
    says: /the device dsmip-sig exists already; another dsmipd runs in this network namespace, stop it first/,
  },
];

for (const { name, changes = "", launch, prepare, says } of STARTS) {
  t.test(`a start that fails: ${name}`, { skip: needsRoot }, (test) => {
    const path = directory(test);
    prepare?.(path);
    const outcome = inNamespace(path, changes, launch);
    failsWith(test, outcome, says);
    test.equal(outcome.after, outcome.before, "nothing is left behind");
    test.end();
  });
}

t.test("a start that fails: a kernel without the modules", { skip: lacksFou }, (test) => {
  const outcome = inNamespace(directory(test), "");
  failsWith(
    test,
    outcome,
    /the kernel cannot do: ip .*; run: modprobe \w+ \(Debian: the package linux-image-amd64 has it/,
  );
  test.equal(outcome.after, outcome.before, "what had been made was taken out again");
  test.end();
});

t.test("a start that fails: a namespace that is none", { skip: needsRoot }, (test) => {
  const path = directory(test);
  const run = (netns: string): Outcome => dsmipd("run", "--config", join(path, "dsmipd.yaml"), "--netns", netns);
  failsWith(test, run("/run/netns/no-such-namespace"), /no-such-namespace: there is no such file; ip netns list/);
  failsWith(test, run(join(path, "keys.yaml")), /keys\.yaml: is no network namespace/);
  test.end();
});

t.test("wrong usage is exit code 2, a wrong configuration is 1, check tells a good one by 0", (test) => {
  const path = directory(test);
  for (const args of [["frobnicate"], ["run"], ["run", "--colour"], ["check"], []]) {
    const { status, stderr } = dsmipd(...args);
    test.equal(status, 2, args.join(" "));
    test.match(stderr, /--help/);
  }
  test.equal(dsmipd("--help").status, 0);
  const config = join(path, "dsmipd.yaml");
  const good = dsmipd("check", "--config", config);
  test.strictSame([good.status, good.stdout], [0, `${config}: fine, home-agent\n`]);
  failsWith(test, dsmipd("check", "--config", join(path, "nowhere.yaml")), /nowhere\.yaml: there is no such file/);
  writeFileSync(config, `${HOME_AGENT(path)}colour: red\n`);
  failsWith(test, dsmipd("check", "--config", config), /dsmipd\.yaml:10: colour is not a known key; remove it/);
  failsWith(test, dsmipd("run", "--config", config), /dsmipd\.yaml:10: colour is not a known key; remove it/);
  chmodSync(join(path, "keys.yaml"), 0o644);
  writeFileSync(config, HOME_AGENT(path));
  failsWith(test, dsmipd("check", "--config", config), /keys\.yaml: has mode 0644 and holds keys; run: chmod 0600/);
  test.end();
});

t.test("capabilities, TUN device, address and link are judged by what the kernel says", (test) => {
  test.doesNotThrow(() => checkPrivileges("CapEff:\t0000000000003000\n"));
  test.throws(() => checkPrivileges("CapEff:\t0000000000000000\n"), {
    code: "MIP_MISSING",
    message: /no CAP_NET_ADMIN and CAP_NET_RAW/,
  });
  test.throws(() => checkPrivileges(""), { code: "MIP_MISSING" });
  test.throws(() => checkTun("/nowhere/tun"), { code: "MIP_MISSING", message: /modprobe tun/ });
  const interfaces = "20010db8000100000000000000000001 05 40 00 80     home\n";
  test.doesNotThrow(() => checkIpv6Address(ipv6("2001:db8:1::1"), interfaces));
  test.throws(() => checkIpv6Address(ipv6("2001:db8:1::2"), interfaces), { code: "MIP_ADDRESS" });
  test.throws(() => checkIpv6Address(ipv6("2001:db8:1::1"), ""), { code: "MIP_ADDRESS" });
  const devices = "Inter-|   Receive\n face |bytes\n    lo: 0 0\n  home: 0 0\n";
  test.doesNotThrow(() => checkHomeLink("home", devices));
  test.throws(() => checkHomeLink("home", devices, ["home"]), { code: "MIP_MISSING", message: /IPv6 is switched off/ });
  test.throws(() => checkHomeLink("hom", devices), { code: "MIP_LINK", message: /there are: lo, home\)/ });
  test.end();
});

t.test("an address is one daemon's in its network namespace, whatever files it sees", { skip: needsRoot }, (test) => {
  const path = directory(test);
  const module = new URL("../../../controller/daemon/upkeep/address-lock.js", import.meta.url).href;
  const hold = join(path, "hold.mjs");
  writeFileSync(
    hold,
    `import { holdAddresses } from ${JSON.stringify(module)};
try { const release = holdAddresses(process.argv.slice(2)); console.log("held"); setTimeout(() => release.release(), 60000); } catch (error) { console.log(error.code, error.message); process.exit(1); }
`,
  );
  const node = `${process.execPath} ${hold}`;
  const script = `set -u
nobody() { setpriv --reuid 65534 --regid 65534 --clear-groups -- "$@"; }
take() { local read; exec {read}< <(exec unshare --mount sh -c "mount -t tmpfs none /run; exec ${node} $*"); holder=$!; IFS= read -r -u $read; echo "$REPLY"; }
nobody ip tuntap add ${lockName(ipv6("2001:db8:ffff::2"))} mode tun 2> /dev/null || echo "nobody cannot"
take 2001:db8:ffff::1 2001:db8:ffff::2; first=$holder
take 2001:db8:ffff::3 2001:db8:ffff::2
nft flush ruleset
take 2001:db8:ffff::1
take 203.0.113.3 2001:db8:ffff::3; kill -KILL $holder; wait $holder 2> /dev/null
kill -KILL $first; wait $first 2> /dev/null
take 2001:db8:ffff::1 2001:db8:ffff::2; kill -KILL $holder`;
  const { stdout, stderr } = spawnSync("unshare", ["--net", "bash", "-c", script], {
    encoding: "utf8",
    timeout: 60_000,
  });
  const busy = (address: string): string =>
    `MIP_BUSY another dsmipd serves ${address} in this network namespace; stop it first`;
  test.strictSame(
    stdout.trim().split("\n"),
    ["nobody cannot", "held", busy("2001:db8:ffff::2"), busy("2001:db8:ffff::1"), "held", "held"],
    stderr,
  );
  test.end();
});

t.test("an address stays held when its device is deleted, renamed or moved away", { skip: needsRoot }, (test) => {
  const path = directory(test);
  const module = new URL("../../../controller/daemon/upkeep/address-lock.js", import.meta.url).href;
  const hold = join(path, "hold.mjs");
  writeFileSync(
    hold,
    `import { holdAddresses } from ${JSON.stringify(module)};
import { execSync } from "node:child_process";
const name = ${JSON.stringify(lockName(ipv6("2001:db8:ffff::1")))};
let retaken;
const told = () => new Promise((resolve) => { retaken = resolve; });
const held = holdAddresses(["2001:db8:ffff::1"], { onRetaken: (address) => retaken(address), onLost: (address, reason) => console.log(reason) });
for (const command of ["ip link del " + name, "ip link set " + name + " name lost0"]) {
  const again = told();
  execSync(command);
  if (command.includes("name")) held.look();
  console.log(await again, execSync("ip -br link show " + name + " | wc -l").toString().trim(), execSync("ip -br link show lost0 2> /dev/null | wc -l").toString().trim());
}
held.release();
`,
  );
  const { stdout, stderr } = spawnSync("unshare", ["--net", process.execPath, hold], {
    encoding: "utf8",
    timeout: 60_000,
  });
  test.strictSame(stdout.trim().split("\n"), ["2001:db8:ffff::1 1 0", "2001:db8:ffff::1 1 0"], stderr);
  test.end();
});

t.test("a state directory is one daemon's alone; the lock goes with the process, however it ends", (test) => {
  const directory = mkdtempSync(join(tmpdir(), "dsmipd-lock-"));
  test.teardown(() => rmSync(directory, { recursive: true }));
  const path = join(directory, "state");
  const letGo = holdDirectory(path);
  test.throws(() => holdDirectory(path), {
    code: "MIP_BUSY",
    message: /state: another dsmipd keeps its state here; stop it first, or set another stateDirectory/,
  });
  letGo();
  const hold = `import(${JSON.stringify(new URL("../../../controller/io/directory-lock.js", import.meta.url).href)})`;
  const script = `${hold}.then(({ holdDirectory }) => { holdDirectory(${JSON.stringify(path)}); process.kill(process.pid, "SIGKILL"); })`;
  test.equal(spawnSync(process.execPath, ["--input-type=module", "-e", script]).signal, "SIGKILL");
  holdDirectory(path)();
  test.end();
});

t.test("what a kernel lacks is told with the command that brings it; other refusals stay the kernel's own", (test) => {
  const explain = (object: unknown, errno: number): Error =>
    explainRefusal(object as KernelObject, new KernelError(errno, {}), "ip … add");
  const lacking: readonly [unknown, number, RegExp][] = [
    [{ kind: "fou-port" }, ENOENT, /run: modprobe fou /],
    [{ kind: "nft-table" }, EOPNOTSUPP, /run: modprobe nf_tables/],
    [{ kind: "link", link: { type: "sit" } }, EOPNOTSUPP, /run: modprobe sit/],
    [{ kind: "link", link: { type: "ip6tnl" } }, EOPNOTSUPP, /run: modprobe ip6_tunnel/],
    [{ kind: "xfrm-state", transform: { type: "esp" } }, EOPNOTSUPP, /run: modprobe esp6/],
    [{ kind: "xfrm-state", transform: { type: "home-address-option" } }, EOPNOTSUPP, /run: modprobe mip6/],
  ];
  for (const [object, errno, says] of lacking) {
    const error = explain(object, errno);
    test.ok(error instanceof MissingError);
    test.match(error.message, says);
  }
  const gre = explain({ kind: "link", link: { type: "gre", external: true } }, EEXIST);
  test.match(gre, { code: "MIP_LINK", message: /one external gre device .* set homeAgent.mip4.gre to false/ });
  test.notOk(explain({ kind: "link", link: { type: "sit" } }, EINVAL) instanceof MissingError);
  const refused = (code: string): SyscallError =>
    Object.assign(new Error(`${code}: refused, socket`), { errno: -1, code, syscall: "socket" });
  test.match(netlinkRefusal("xfrm", refused("EPROTONOSUPPORT")), {
    code: "MIP_MISSING",
    message: /modprobe xfrm_user/,
  });
  test.match(netlinkRefusal("netfilter", refused("EPROTONOSUPPORT")).message, /nftables.*modprobe nf_tables/);
  test.match(netlinkRefusal("netfilter", refused("EPERM")).message, /no CAP_NET_ADMIN in this network namespace/);
  test.match(netlinkRefusal("route", refused("EMFILE")), { code: "MIP_SOCKET", message: /EMFILE/ });
  test.end();
});

t.test("a home link whose own prefix is shorter than the home prefix is told", (test) => {
  const line = (prefix: string, length: string, device: string): string =>
    `${prefix} ${length} ${"0".repeat(32)} 00 ${"0".repeat(32)} 00000100 00000001 00000000 00000001 ${device.padStart(8)}`;
  const wide = line("20010db8000100000000000000000000", "38", "home");
  const exact = line("20010db8000100000000000000000000", "40", "home");
  const others = [line("0".repeat(32), "00", "home"), line("20010db8000100000000000000000000", "38", "eth0")];
  const home = { address: ipv6("2001:db8:1::"), length: 64 };
  const found = (...routes: readonly string[]) => shorterHomeRoute(home, "home", [...routes, ""].join("\n"));
  test.strictSame(found(...others, wide), { address: ipv6("2001:db8:1::"), length: 56 });
  test.equal(found(...others, wide, exact), undefined);
  test.equal(found(...others), undefined, "a default route says nothing, nor does another device");
  test.equal(shorterHomeRoute({ address: ipv4("198.51.100.0"), length: 24 }, "home", wide), undefined);
  test.end();
});
