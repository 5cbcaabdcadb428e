/** The platform over fakes: what comes in goes to the service that it is for, what fails is told, and what is closed leaves nothing. */
import t from "tap";
import { MobilityError } from "../../../controller/base/errors.js";
import { type Ipv6Address, ipv6 } from "../../../controller/base/ip.js";
import { Secret } from "../../../controller/base/secret.js";
import { seq16 } from "../../../controller/base/seq16.js";
import { fetchDocument } from "../../../controller/control/client.js";
import type { Platform } from "../../../controller/daemon/platform.js";
import type { Service, ServiceGround, ServiceViews } from "../../../controller/daemon/service.js";
import type { MobilityHeaderIn, SignallingListener } from "../../../controller/daemon/signalling/signalling.js";
import { startServices } from "../../../controller/daemon/start.js";
import { type KernelObject, OWNERSHIP, objectKey } from "../../../controller/plan/objects/objects.js";
import { SENDING_MARK } from "../../../controller/plan/security/marks.js";
import type { SendEffect } from "../../../controller/protocol/mip6/inputs.js";
import type { GroupResult } from "../../../controller/reconcile/reconciler.js";
import { encodeMobilityMessage } from "../../../controller/wire/mip6/messages/mobility-header.js";
import type { MobilityMessage } from "../../../controller/wire/mip6/messages/mobility-message.js";
import { bindingUpdateFlags } from "../../../controller/wire/mip6/messages/registration.js";
import type { AuditDocument, BindingDocument, StatusDocument } from "../../../schemas/control.js";
import { FakeMachine } from "../../fake/platform-parts.js";

const A = ipv6("2001:db8:1::1");
const B = ipv6("2001:db8:2::1");
const NODE = ipv6("2001:db8:1::100");

const route = (address: string): KernelObject => ({
  kind: "route",
  destination: { address: ipv6(address), length: 128 },
  table: 4191,
  metric: 1024,
  device: "tunnel",
});

/** With negotiated keys, whose sequence numbers are gone with it. */
const association = (destination: Ipv6Address): KernelObject => ({
  kind: "xfrm-state",
  source: NODE,
  destination,
  reqid: OWNERSHIP.reqidBase + 19,
  transform: {
    type: "esp",
    spi: 0x1000,
    mode: "tunnel",
    aead: { algorithm: "rfc4106(gcm(aes))", key: new Secret(new Uint8Array(20)), icvLength: 16 },
    replayWindow: 64,
    mark: SENDING_MARK,
  },
});

const UPDATE: MobilityMessage = {
  type: "binding-update",
  sequence: seq16(7),
  flags: bindingUpdateFlags({ acknowledge: true }),
  lifetimeUnits: 10,
  options: [],
};
const REFRESH: MobilityMessage = { type: "binding-refresh-request", options: [] };

const arriving = (destination: Ipv6Address, message: MobilityMessage = UPDATE): MobilityHeaderIn => ({
  bytes: encodeMobilityMessage(message),
  source: NODE,
  destination,
  device: "eth0",
  flowLabel: 0,
  destinationOptions: [],
});

/** A service that does what it is told, and keeps what it hears. */
class Played implements Service {
  readonly name: string;
  readonly addresses: readonly Ipv6Address[];
  readonly ground: ServiceGround;
  /** Its life, and what came to it. */
  readonly heard: string[];
  readonly objects: readonly KernelObject[];
  failsAt: string | undefined;
  takes: SignallingListener["takes"];
  unlisten = (): void => undefined;
  readonly results: GroupResult[] = [];

  constructor(
    ground: ServiceGround,
    name: string,
    self: Ipv6Address,
    objects: readonly KernelObject[],
    heard: string[],
  ) {
    this.ground = ground;
    this.name = name;
    this.addresses = [self];
    this.objects = objects;
    this.heard = heard;
  }

  #say(what: string): void {
    this.heard.push(`${this.name} ${what}`);
    if (this.failsAt === what) throw new MobilityError("MIP_TEST", `${this.name} cannot ${what}`);
  }

  prepare(): ReadonlyMap<string, readonly KernelObject[]> {
    this.#say("prepare");
    return new Map([["site", this.objects]]);
  }
  listen(): void {
    this.#say("listen");
    const [self = A] = this.addresses;
    const site = { self, isProtected: () => true, tunDevice: "dsmip-fake", directMark: 2 };
    this.unlisten = this.ground.listen(site, {
      ...(this.takes !== undefined && { takes: this.takes }),
      onMessage: (message) => this.#say(message.type),
      onDrop: (reason, detail) => this.ground.drop(reason, detail),
      onOptionRefused: ({ homeAddress }) => this.#say(`refused ${homeAddress}`),
    });
  }
  begin(): void {
    this.#say("begin");
  }
  onGroupResult(result: GroupResult): void {
    this.results.push(result);
  }
  onLoss(object: KernelObject): void {
    this.#say(`loses ${objectKey(object)}`);
  }
  objectsOf(): readonly KernelObject[] {
    return [];
  }
  ownerOf(object: KernelObject) {
    const mine = object.kind === "xfrm-state" && object.destination === this.addresses[0];
    return mine ? ({ kind: "subscriber", homeAddress: NODE } as const) : undefined;
  }
  abandon(): void {
    this.#say("abandon");
  }
  async close(): Promise<void> {
    this.#say("close");
  }
  readonly views: ServiceViews = {
    bindings: () => [{ homeAddress: NODE, endpoint: null } as unknown as BindingDocument],
    binding: () => undefined,
    plan: () => [],
    nodes: () => [NODE],
    nodeAt: () => undefined,
    security: async () => ({ method: "static-keys", ikeDaemon: null, nodes: [] }),
    readiness: () => null,
  };
}

interface Part {
  readonly name: string;
  readonly self: Ipv6Address;
  readonly objects?: readonly KernelObject[];
  readonly takes?: SignallingListener["takes"];
  readonly failsAt?: string;
  readonly recordPrefix?: string;
}

/** Services with these parts, started as the daemon starts them. */
async function started(machine: FakeMachine, parts: readonly Part[]) {
  const heard: string[] = [];
  const services: Played[] = [];
  const platform = await machine.platform();
  const running = await startServices(
    platform,
    parts.map(({ name, self, objects = [], takes, failsAt, recordPrefix }) => ({
      name,
      ...(recordPrefix !== undefined && { recordPrefix }),
      open: async (ground) => {
        const service = new Played(ground, name, self, objects, heard);
        service.takes = takes;
        service.failsAt = failsAt;
        services.push(service);
        if (failsAt === "open") throw new MobilityError("MIP_TEST", `${name} cannot open`);
        return service;
      },
    })),
  );
  t.teardown(() => running.stop());
  return { platform, running, heard, services };
}

const TWO: readonly Part[] = [
  { name: "first", self: A, objects: [route("2001:db8::a")] },
  { name: "second", self: B, objects: [route("2001:db8::b")] },
];

const settled = async (platform: Platform): Promise<void> => {
  platform.reconciler.commit();
  await platform.reconciler.settled();
};

t.test("each step of a start is taken by all services before the next one, and a stop goes backwards", async (test) => {
  const machine = new FakeMachine(test);
  const { running, heard } = await started(machine, TWO);
  test.strictSame(heard.splice(0), [
    ...["first prepare", "second prepare", "first listen", "second listen", "first begin", "second begin"],
  ]);
  test.ok(machine.kernel.holds(TWO.flatMap(({ objects = [] }) => objects)), "before anybody listens");
  test.equal(machine.sockets.receivers.length, 1, "the sockets have one listener");
  await running.stop();
  test.strictSame(heard, ["second close", "first close"]);
  test.equal(machine.kernel.objects.size, 0, "and nothing stays in the kernel");
  test.ok(machine.sockets.closed && machine.kernel.closed);
  test.equal(machine.released, 1, "the addresses are free");
  test.equal(machine.refuseOption, undefined);
  await test.rejects(fetchDocument(machine.controlSocket, "/status"));
});

for (const failsAt of ["open", "prepare", "listen", "begin"])
  t.test(
    `a service that cannot ${failsAt} ends the start: all are abandoned, and nothing stays behind`,
    async (test) => {
      const machine = new FakeMachine(test);
      const [first, second] = TWO as readonly [Part, Part];
      await test.rejects(started(machine, [first, { ...second, failsAt }]), { message: `second cannot ${failsAt}` });
      test.equal(machine.kernel.objects.size, 0);
      test.ok(machine.sockets.closed && machine.kernel.closed);
      test.equal(machine.released, 1);
    },
  );

t.test(
  "what a service cannot do without and the kernel refuses ends the start with the kernel's reason",
  async (test) => {
    const machine = new FakeMachine(test);
    machine.kernel.refuse = ({ verb, object }) =>
      verb === "create" && objectKey(object) === objectKey(route("2001:db8::b")) ? "no room for it" : undefined;
    await test.rejects(started(machine, TWO), { message: /no room for it/ });
    test.equal(machine.kernel.objects.size, 0, "what the other service had is taken out again");
    test.equal(machine.released, 1);
  },
);

t.test("a switch that stands wrong and cannot be turned ends the start before anything is made", async (test) => {
  const machine = new FakeMachine(test);
  const objects: readonly KernelObject[] = [
    { kind: "sysctl", path: "net/ipv4/ip_forward", value: "1" },
    { kind: "sysctl", path: "net/ipv6/conf/all/forwarding", value: "1" },
  ];
  machine.switches.set("net/ipv4/ip_forward", "0").set("net/ipv6/conf/all/forwarding", "1");
  machine.switchRefusal = "EROFS";
  await test.rejects(started(machine, [{ name: "first", self: A, objects }]), {
    message: /read-only.* sysctl -w net\.ipv4\.ip_forward=1$/,
  });
  test.strictSame(machine.kernel.batches.flat(), []);
  machine.switches.set("net/ipv4/ip_forward", "1");
  await test.resolves(started(machine, [{ name: "first", self: A, objects }]), "preset as wanted they need no hand");
});

t.test("the kernel's answer goes to the service whose group it is, under its own name of it", async (test) => {
  const machine = new FakeMachine(test);
  const { platform, services } = await started(machine, TWO);
  const [first, second] = services as [Played, Played];
  test.strictSame([first.results, second.results], [[], []], "of the start's own groups the platform takes care");
  first.ground.groups.setGroup("binding x", [route("2001:db8::c")], 3);
  second.ground.groups.setGroup("binding x", [route("2001:db8::d")], 4);
  test.equal(first.ground.groups.stateOf("binding x"), "pending");
  await settled(platform);
  test.strictSame(first.results, [{ group: "binding x", revision: 3 }]);
  test.strictSame(second.results, [{ group: "binding x", revision: 4 }], "the same name is another group");
  test.equal(first.ground.groups.stateOf("binding x"), "realised");
  machine.kernel.refuse = () => "full";
  second.ground.groups.setGroup("binding y", [route("2001:db8::e")], 5);
  await settled(platform);
  test.match(second.results.at(-1), { group: "binding y", revision: 5, failure: { message: /full/ } });
  test.equal(second.ground.groups.stateOf("binding y"), "failed");
  test.equal(first.results.length, 1);
  machine.kernel.refuse = () => undefined;
});

t.test("an association that somebody has taken out is told to its owner alone, and not made again", async (test) => {
  const machine = new FakeMachine(test);
  const { platform, services, heard } = await started(machine, TWO);
  const state = association(B);
  services[1]?.ground.groups.setGroup("security", [state], 1);
  await settled(platform);
  heard.splice(0);
  machine.kernel.interfere({ verb: "removed", object: state });
  await settled(platform);
  test.strictSame(heard, [`second loses ${objectKey(state)}`]);
  test.notOk(machine.kernel.objects.has(objectKey(state)));
});

t.test(
  "a message goes to the service of the address that it is for, and what is for none to the first",
  async (test) => {
    const machine = new FakeMachine(test);
    const { platform, heard } = await started(machine, TWO);
    heard.splice(0);
    const [receiver] = machine.sockets.receivers;
    receiver?.receiveMobilityHeader(arriving(B));
    receiver?.receiveMobilityHeader(arriving(A));
    receiver?.receiveMobilityHeader(arriving(ipv6("2001:db8:9::9")));
    test.strictSame(heard, ["second binding-update", "first binding-update", "first binding-update"]);
    test.strictSame(platform.received.toJSON(), { "binding-update": 3 });
    receiver?.receiveMobilityHeader({ ...arriving(B), bytes: new Uint8Array(3) });
    test.strictSame(platform.drops.toJSON(), { malformed: 1 });
    test.strictSame(machine.log.filter(({ event }) => event === "message.dropped").length, 1);
    const refused = (destination: typeof A): string | undefined => {
      machine.refuseOption?.({ source: A, destination, homeAddress: NODE, protocol: 58 });
      return heard.at(-1);
    };
    test.equal(refused(B), `second refused ${NODE}`, "refused options come to whom they were sent");
    test.equal(refused(ipv6("2001:db8:9::9")), `first refused ${NODE}`, "or to the first service");
  },
);

t.test("two services of one address share its messages by what they take", async (test) => {
  const machine = new FakeMachine(test);
  const { heard } = await started(machine, [
    { name: "anchor", self: A, takes: (message) => message.type !== "binding-refresh-request" },
    { name: "correspondent", self: A, takes: (message) => message.type === "binding-refresh-request" },
  ]);
  heard.splice(0);
  const [receiver] = machine.sockets.receivers;
  receiver?.receiveMobilityHeader(arriving(A, REFRESH));
  receiver?.receiveMobilityHeader(arriving(A));
  test.strictSame(heard, ["correspondent binding-refresh-request", "anchor binding-update"]);
});

t.test("who listens no more hears nothing, and the next one of the same address everything", async (test) => {
  const machine = new FakeMachine(test);
  const { platform, heard, services } = await started(machine, [{ name: "first", self: A }]);
  const [former] = services as [Played];
  const [receiver] = machine.sockets.receivers;
  heard.splice(0);
  former.unlisten();
  former.unlisten();
  receiver?.receiveMobilityHeader(arriving(A));
  machine.refuseOption?.({ source: B, destination: A, homeAddress: NODE, protocol: 58 });
  test.strictSame(heard, []);
  test.strictSame(platform.drops.toJSON(), { unheard: 1 }, "counted");
  const next = new Played(former.ground, "next", A, [], heard);
  next.listen();
  receiver?.receiveMobilityHeader(arriving(A));
  machine.refuseOption?.({ source: B, destination: A, homeAddress: NODE, protocol: 58 });
  test.strictSame(heard.slice(1), ["next binding-update", `next refused ${NODE}`]);
  test.equal(machine.sockets.receivers.length, 1, "the sockets have one listener all the same");
});

t.test("what is sent is counted by type, and what the kernel refuses is told a few times and counted", async (test) => {
  const machine = new FakeMachine(test);
  const { platform, services } = await started(machine, TWO);
  const effect: SendEffect = {
    kind: "send",
    message: REFRESH,
    source: A,
    destination: NODE,
    departure: { type: "native-direct" },
  };
  services[0]?.ground.send(effect);
  test.match(machine.sockets.sent, [{ source: A, destination: NODE, mark: 2 }]);
  machine.sockets.refusal = new Error("ENETUNREACH");
  for (let n = 0; n < 100; n++) services[0]?.ground.send(effect);
  test.strictSame(platform.sent.toJSON(), { "binding-refresh-request": 1, failed: 100 });
  const told = machine.log.filter(({ event }) => event === "message.unsent");
  test.ok(told.length > 0 && told.length < 20, `${told.length} lines`);
  test.match(told[0], { level: "warn", reason: /binding-refresh-request to 2001:db8:1::100 .*ENETUNREACH/ });
});

t.test("a flood of drops is a few lines with a count", async (test) => {
  const machine = new FakeMachine(test);
  const { platform } = await started(machine, TWO);
  for (let n = 0; n < 3000; n++) platform.drop("malformed", "rubbish");
  const lines = machine.log.filter(({ event }) => event === "message.dropped");
  test.strictSame(
    lines.map(({ count }) => count),
    [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 1000, 2000, 3000],
  );
});

t.test("services keep their records apart, over a restart too", async (test) => {
  const machine = new FakeMachine(test);
  const parts: readonly Part[] = [
    { name: "first", self: A },
    { name: "second", self: B, recordPrefix: "second " },
  ];
  const before = await started(machine, parts);
  before.services[0]?.ground.records.append("x", { of: "first" });
  before.services[1]?.ground.records.append("x", { of: "second" });
  before.services[1]?.ground.records.append("y", { of: "second" });
  test.equal(await before.services[0]?.ground.flush(), true);
  test.equal(before.services[0]?.ground.flush(), undefined, "nothing is left to be written");
  await before.running.stop();
  const after = await started(machine, parts);
  const kept = after.services.map(({ ground }) =>
    [...ground.records.entries()].map(([key, { record }]) => [key, record]),
  );
  test.strictSame(kept, [
    [["x", { of: "first" }]],
    [
      ["x", { of: "second" }],
      ["y", { of: "second" }],
    ],
  ]);
});

t.test("a restart adopts what is in the kernel, and what nobody wants any more goes", async (test) => {
  const machine = new FakeMachine(test);
  const wanted = TWO.flatMap(({ objects = [] }) => objects);
  for (const object of [...wanted, route("2001:db8::f")]) machine.kernel.objects.set(objectKey(object), object);
  await started(machine, TWO);
  test.strictSame(machine.kernel.batches, [[`remove ${objectKey(route("2001:db8::f"))}`]]);
  test.ok(machine.kernel.holds(wanted));
});

t.test("when announcements were lost the kernel is read anew, and mended for every service", async (test) => {
  const machine = new FakeMachine(test);
  const { platform } = await started(machine, TWO);
  for (const { objects = [] } of TWO) for (const object of objects) machine.kernel.objects.delete(objectKey(object));
  machine.kernel.announce("resync");
  await settled(platform);
  test.ok(machine.kernel.holds(TWO.flatMap(({ objects = [] }) => objects)));
  test.ok(machine.events("warn").includes("kernel.resync"));
});

t.test("the control socket shows all services as one daemon", async (test) => {
  const machine = new FakeMachine(test);
  const { platform } = await started(machine, TWO);
  platform.note({ event: "readiness.changed", homeAddress: NODE, detail: { to: "home" } });
  const status = (await fetchDocument(machine.controlSocket, "/status")) as StatusDocument;
  test.match(status, {
    ...{ role: "home-agent", addresses: [A, B], bindings: 0, readiness: null, pendingOperations: 0, failedObjects: 0 },
    counters: { kernel: { signalling: 5 }, netlink: { transactions: 1 } },
  });
  const { bindings } = (await fetchDocument(machine.controlSocket, "/bindings")) as { bindings: BindingDocument[] };
  test.equal(bindings.length, 2, "one of each service");
  test.match(platform.events.recent(), [{ event: "readiness.changed", homeAddress: NODE }]);
  test.match(machine.log.at(-1), { level: "info", event: "readiness.changed", hoa: NODE, to: "home" });
});

t.test("an audit tells what is not as wanted and has it mended; a stranger's is told and stays", async (test) => {
  const machine = new FakeMachine(test);
  const { platform } = await started(machine, TWO);
  const [missing] = TWO.flatMap(({ objects = [] }) => objects);
  const foreign = route("2001:db8::f");
  if (missing === undefined) throw new Error("no object");
  machine.kernel.objects.delete(objectKey(missing));
  machine.kernel.objects.set(objectKey(foreign), foreign);
  const { differences } = (await fetchDocument(machine.controlSocket, "/audit")) as AuditDocument;
  test.strictSame(differences.map(({ key, difference }) => [key, difference]).sort(), [
    [objectKey(missing), "missing"],
    [objectKey(foreign), "unwanted"],
  ]);
  await settled(platform);
  test.ok(machine.kernel.objects.has(objectKey(missing)));
  test.ok(machine.kernel.objects.has(objectKey(foreign)));
});

t.test("the signalling device that was taken away is made anew, and no other's loss does that", async (test) => {
  const machine = new FakeMachine(test);
  const { running } = await started(machine, TWO);
  const device = (name: string): KernelObject => ({ kind: "link", name, mtu: 1500, up: true, link: { type: "tun" } });
  machine.kernel.announce({ verb: "removed", object: device("eth7") });
  machine.kernel.announce({ verb: "changed", object: device("dsmip-fake") });
  test.strictSame(machine.sockets.renewed, []);
  machine.kernel.announce({ verb: "removed", object: device("dsmip-fake") });
  test.match(machine.sockets.renewed, [{ code: "ENODEV", message: /there is no device dsmip-fake any more/ }]);
  await running.stop();
});
