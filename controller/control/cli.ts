#!/usr/bin/env node
/** dsmipctl: what the daemon knows, as tables for people or JSON for programs. Exit codes: 0 fine, 1 a difference, an error or the end of a wait, 2 wrong usage. */
import { Argument, Command, InvalidArgumentError, Option } from "commander";
import {
  auditDocument,
  type BindingDocument,
  bindingDocument,
  bindingsDocument,
  type CommandDocument,
  type CorrespondentsDocument,
  commandDocument,
  correspondentsDocument,
  type EventDocument,
  eventDocument,
  type MulticastDocument,
  multicastDocument,
  planDocument,
  type StatusDocument,
  securityDocument,
  statusDocument,
  type VisitorsDocument,
  visitorsDocument,
} from "../../schemas/control.js";
import { MobilityError } from "../base/errors.js";
import { DEFAULT_TIMEOUT_S, fetchDocument, followLines } from "./client.js";
import { completionScript } from "./completion.js";
import { counterText } from "./counter-words.js";
import { proceduresOf, procedureText } from "./procedure-text.js";
import { securityText } from "./security-text.js";
import { formatTable } from "./table.js";
import { waitForReadiness } from "./wait.js";

interface GlobalOptions {
  readonly socket: string;
  readonly output: "table" | "json";
  readonly timeout?: number;
}

const print = (text: string): void => void process.stdout.write(`${text}\n`);

/** Prints the document as JSON, or as `table` makes it. */
function show<T>(options: GlobalOptions, document: T, table: (document: T) => string): void {
  print(options.output === "json" ? JSON.stringify(document, null, 2) : table(document));
}

const bracketed = (address: string): string => (address.includes(":") ? `[${address}]` : address);

const endpointText = (endpoint: BindingDocument["endpoint"]): string => {
  if (endpoint === null) return "-";
  return endpoint.format === "udp" ? `${bracketed(endpoint.address)}:${endpoint.port}` : endpoint.address;
};

function bindingsTable(bindings: readonly BindingDocument[]): string {
  return formatTable(
    [
      "HOME ADDRESS",
      "IPV4 HOME ADDRESS",
      "PROTOCOL",
      "STATE",
      "FORMAT",
      "CARE-OF ADDRESS",
      "SEQ",
      "REMAINING",
      "PREFIXES",
    ],
    bindings.map((one) => [
      one.homeAddress,
      one.ipv4HomeAddress ?? "-",
      one.protocol,
      one.state,
      one.endpoint?.format ?? "-",
      endpointText(one.endpoint),
      one.sequence?.toString() ?? "-",
      one.remainingSeconds === null ? "-" : `${Math.round(one.remainingSeconds)} s`,
      one.prefixes.join(" ") || "-",
    ]),
  );
}

function mip4Rows({
  careOfAddress,
  coLocated,
  reverseTunnelling,
  tunnelling,
  linkLocalAddress,
}: NonNullable<BindingDocument["mip4"]>): [string, string][] {
  const modes = Object.entries(tunnelling).map(([prefix, mode]) => `${prefix} to the ${mode.replace("-a", " a")}`);
  return [
    ["registered", `${careOfAddress} (${coLocated ? "co-located" : "foreign agent"})`],
    ["reverse tunnel", reverseTunnelling ? "yes" : "no"],
    ...(modes.length === 0 ? [] : [["IPv6", modes.join(", ")] as [string, string]]),
    ...(linkLocalAddress === null ? [] : [["link-local address", linkLocalAddress] as [string, string]]),
  ];
}

function bindingText(one: BindingDocument): string {
  const rows: [string, string][] = [
    ["home address", one.homeAddress],
    ["IPv4 home address", one.ipv4HomeAddress ?? "-"],
    ["prefixes", one.prefixes.join(", ") || "-"],
    ["protocol", one.protocol],
    ["state", one.state],
    ["care-of address", `${endpointText(one.endpoint)}${one.endpoint === null ? "" : ` (${one.endpoint.format})`}`],
    ["accepted from", one.acceptedFrom.map(endpointText).join(", ") || "-"],
    ["sequence", one.sequence?.toString() ?? "-"],
    [
      "lifetime",
      one.lifetimeSeconds === null ? "-" : `${one.lifetimeSeconds} s, ${Math.round(one.remainingSeconds ?? 0)} s left`,
    ],
    ["profile", one.profile],
    ...(one.mip4 === null ? [] : mip4Rows(one.mip4)),
  ];
  return rows.map(([name, value]) => `${name.padEnd(18)} ${value}`).join("\n");
}

function multicastTable({ groups }: MulticastDocument): string {
  return formatTable(
    ["GROUP", "HOME ADDRESS", "REMAINING"],
    groups.flatMap(({ group, members }) =>
      members.map(({ homeAddress, remainingSeconds }) => [group, homeAddress, `${remainingSeconds} s`]),
    ),
  );
}

function visitorTable({ visitors }: VisitorsDocument): string {
  return formatTable(
    ["HOME ADDRESS", "HOME AGENT", "CARE-OF ADDRESS", "LINK", "LINK ADDRESS", "REVERSE", "REMAINING"],
    visitors.map((one) => [
      one.homeAddress,
      one.homeAgent,
      one.careOfAddress,
      one.device,
      one.linkAddress,
      one.reverseTunnelling ? "yes" : "no",
      one.remainingSeconds === null ? "no end" : `${Math.round(one.remainingSeconds)} s`,
    ]),
  );
}

function correspondentTable({ correspondents }: CorrespondentsDocument): string {
  const seconds = (value: number | null): string => (value === null ? "-" : `${Math.round(value)} s`);
  return formatTable(
    ["HOME ADDRESS", "CORRESPONDENT", "MODE", "STATE", "DIRECT", "CARE-OF ADDRESS", "SEQ", "REMAINING", "IDLE"],
    correspondents.map((one) => [
      one.ipv4 === null ? one.homeAddress : `${one.ipv4.homeAddress} (${one.homeAddress})`,
      one.ipv4 === null ? one.correspondent : `${one.ipv4.correspondent} (${one.correspondent})`,
      one.mode ?? "-",
      one.reason === null ? one.state : `${one.state} (${one.reason})`,
      one.direct ? "yes" : "no",
      one.observed === null ? (one.careOfAddress ?? "-") : `${one.careOfAddress ?? "-"} (${one.observed})`,
      one.sequence?.toString() ?? "-",
      seconds(one.remainingSeconds),
      seconds(one.idleSeconds),
    ]),
  );
}

function statusText(status: StatusDocument): string {
  const held = status.role === "foreign-agent" ? `visitors: ${status.visitors}` : `bindings: ${status.bindings}`;
  const lines = [
    `dsmipd ${status.version}, ${status.role}, pid ${status.pid}, up ${Math.round(status.uptimeSeconds)} s`,
    `addresses: ${status.addresses.join(", ")}`,
    ...(status.readiness === null ? [] : [`readiness: ${status.readiness}`]),
    `${held}, kernel operations pending: ${status.pendingOperations}, objects failed: ${status.failedObjects}`,
  ];
  for (const { prefix, source, preferredSeconds, validSeconds } of status.homePrefixes) {
    const lifetime = (left: number | null): string => (left === null ? "without end" : `${left} s`);
    lines.push(
      source === "configuration" && validSeconds === null
        ? `home prefix ${prefix}`
        : `home prefix ${prefix}: preferred ${lifetime(preferredSeconds)}, valid ${lifetime(validSeconds)}`,
    );
  }
  lines.push(`payload through the process: ${status.payloadOctetsThroughProcess} octets`);
  for (const [group, counters] of Object.entries(status.counters)) {
    // The kernel has some thirty of these, and mostly nothing to say.
    const shown = Object.entries(counters).filter(([, count]) => group !== "xfrm" || count > 0);
    const parts = shown.map(([name, count]) => counterText(name, count, group));
    lines.push(`${group}: ${parts.join(", ") || "none"}`);
  }
  return lines.join("\n");
}

function eventText(event: EventDocument): string {
  const detail = Object.entries(event.detail).map(([name, value]) => `${name}=${value}`);
  return [event.time, event.event.padEnd(22), event.homeAddress ?? "-", ...detail].join(" ");
}

/** More than setTimeout can wait for is no limit either, and says so less clearly. */
const LONGEST_TIMEOUT_S = 1_000_000;

function seconds(text: string): number {
  const value = Number(text);
  if (/^\d+(\.\d+)?$/.test(text) && value > 0 && value <= LONGEST_TIMEOUT_S) return value;
  throw new InvalidArgumentError(`seconds are wanted, more than 0 and at most ${LONGEST_TIMEOUT_S}.`);
}

// Who reads our output may have had enough of it (head, less).
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
  process.exit();
});

const program = new Command("dsmipctl")
  .description("Shows what dsmipd knows: bindings, the kernel objects behind them, and events.")
  .option(
    "-s, --socket <path>",
    "control socket of the daemon",
    process.env["DSMIPD_SOCKET"] ?? "/run/dsmipd/control.sock",
  )
  .addOption(new Option("-o, --output <form>", "form of the output").choices(["table", "json"]).default("table"))
  .addOption(
    new Option(
      "-t, --timeout <seconds>",
      `how long the daemon may be silent (default: ${DEFAULT_TIMEOUT_S.document}, for audit and security ${DEFAULT_TIMEOUT_S.costly}); of wait: how long to wait in all (default: for ever)`,
    ).argParser(seconds),
  )
  .configureHelp({ showGlobalOptions: true })
  .showHelpAfterError("(dsmipctl --help says more)")
  .exitOverride((error) => {
    process.exit(error.exitCode === 0 ? 0 : 2);
  });

const options = (): GlobalOptions => program.opts<GlobalOptions>();
const get = (path: string, silence: number = DEFAULT_TIMEOUT_S.document): Promise<unknown> =>
  fetchDocument(options().socket, path, { timeoutSeconds: options().timeout ?? silence });

const everybody = (node: string): { node?: string } => (node === "all" ? {} : { node });

/** Exit code 1 if it was not done; a binding that ends without an acknowledgement ends all the same. */
async function command(name: string, fields: Readonly<Record<string, string | readonly string[]>>): Promise<void> {
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(fields)) for (const one of [value].flat()) query.append(key, one);
  const timeoutSeconds = options().timeout ?? DEFAULT_TIMEOUT_S.document;
  const document = await fetchDocument(options().socket, `/commands/${name}?${query}`, {
    method: "POST",
    timeoutSeconds,
  });
  show(options(), commandDocument.parse(document), commandText);
}

function commandText({ command, nodes, outcome, status }: CommandDocument): string {
  if (command === "remove") {
    const said = outcome === "acknowledged" ? `has acknowledged it (status ${status})` : "has not answered";
    return `the binding has ended; the node ${said}`;
  }
  if (command === "offer") return "noted";
  if (command === "remove-visitor") return "the visit has ended";
  if (command === "report-loss" || nodes === 1) return "begun";
  return `${nodes} nodes are told`;
}

program
  .command("status")
  .description("the daemon at a glance, with its counters")
  .action(async () => show(options(), statusDocument.parse(await get("/status")), statusText));

program
  .command("bindings")
  .description("all bindings")
  .action(async () =>
    show(options(), bindingsDocument.parse(await get("/bindings")), (document) => bindingsTable(document.bindings)),
  );

const binding = program
  .command("binding")
  .argument("<homeAddress>")
  .usage("<homeAddress> | remove|refresh|switch …")
  .description("one binding, by IPv6 or IPv4 home address; or what its node is told")
  .action(async (homeAddress: string) => {
    show(options(), bindingDocument.parse(await get(`/bindings/${encodeURIComponent(homeAddress)}`)), bindingText);
  });

binding
  .command("remove <homeAddress>")
  .description("end a binding; the node is told first, and has some seconds to acknowledge that (RFC 5846)")
  .option("--ipv4", "only what is of IPv4 in it", false)
  .action(async (node: string, { ipv4 }: { ipv4: boolean }) => {
    await command("remove", { node, part: ipv4 ? "ipv4" : "all" });
  });

binding
  .command("refresh <homeAddress>")
  .description("ask a node, or all, to register anew (binding refresh request)")
  .action(async (node: string) => {
    await command("refresh", everybody(node));
  });

binding
  .command("switch <homeAddress> [homeAgents...]")
  .description("ask a node, or all, to take another home agent: one of these IPv6 addresses, or any (RFC 5142)")
  .action(async (node: string, to: string[]) => {
    await command("switch", { ...everybody(node), to });
  });

program
  .command("refresh")
  .description("of a mobile node: register anew, forgetting what was learnt about the networks")
  .action(async () => {
    await command("refresh", {});
  });

program
  .command("report-loss")
  .description("of a mobile node: its IPv4 tunnel loses packets, so ask for UDP (F flag)")
  .action(async () => {
    await command("report-loss", {});
  });

program
  .command("home-agent")
  .description("what is told to a mobile node that looks for its home agent")
  .command("offered")
  .description(
    "the visited network has offered home agents by DHCPv6 (RFC 6610), or does so no more; for hooks of DHCPv6 clients",
  )
  .requiredOption("--interface <name>", "the link of that network")
  .option("--dhcpv6 <hex>", "the option, or what is in it; none: nothing is offered any more", "")
  .action(async (fields: { interface: string; dhcpv6: string }) => {
    await command("offer", fields);
  });

program
  .command("plan <homeAddress>")
  .description("the kernel objects of a binding, as the ip and nft commands that would make them")
  .action(async (homeAddress: string) => {
    const document = planDocument.parse(await get(`/plan/${encodeURIComponent(homeAddress)}`));
    show(options(), document, ({ objects }) => objects.map((one) => one.command).join("\n"));
  });

program
  .command("security [homeAddress]")
  .description("IKE SAs, security associations and policies of one node or of all; never a key")
  .action(async (homeAddress: string | undefined) => {
    const path = homeAddress === undefined ? "/security" : `/security/${encodeURIComponent(homeAddress)}`;
    const document = securityDocument.parse(await get(path, DEFAULT_TIMEOUT_S.costly));
    show(options(), document, (all) => securityText(all, homeAddress !== undefined));
  });

program
  .command("audit")
  .description("differences between plan and kernel; exit code 1 if there are any")
  .action(async () => {
    const document = auditDocument.parse(await get("/audit", DEFAULT_TIMEOUT_S.costly));
    show(options(), document, ({ checked, differences }) => {
      if (differences.length === 0) return `${checked} objects checked, no difference`;
      const rows = differences.map((one) => [one.difference, one.wanted ?? "-", one.found ?? "-"]);
      return `${formatTable(["DIFFERENCE", "PLAN", "KERNEL"], rows)}\n${checked} objects checked, ${differences.length} differences`;
    });
    if (document.differences.length > 0) process.exitCode = 1;
  });

const correspondents = program
  .command("correspondents")
  .description("pairs of addresses with route optimisation: bindings with correspondents, or of them")
  .action(async () => show(options(), correspondentsDocument.parse(await get("/correspondents")), correspondentTable));

correspondents
  .command("forget <correspondent>")
  .description("of a mobile node: take the binding with this IPv6 address back, or with all, and let no failure count")
  .action(async (one: string) => {
    await command("forget-correspondent", one === "all" ? {} : { correspondent: one });
  });

correspondents
  .command("trace [correspondent]")
  .description("of a mobile node: the last procedures, of one correspondent or of all, from the events it still has")
  .action(async (one: string | undefined) => {
    const events: EventDocument[] = [];
    const { socket, timeout: timeoutSeconds = DEFAULT_TIMEOUT_S.document } = options();
    await followLines(socket, "/events/recent", (text) => events.push(eventDocument.parse(JSON.parse(text))), {
      timeoutSeconds,
    });
    show(options(), proceduresOf(events, one), procedureText);
  });

program
  .command("visitors")
  .description("mobile nodes that are registered through this foreign agent")
  .action(async () => show(options(), visitorsDocument.parse(await get("/visitors")), visitorTable));

program
  .command("visitor")
  .description("one visitor of this foreign agent")
  .command("remove <homeAddress> [homeAgent]")
  .description("end a visit: nothing is relayed for the node any more, until it registers again")
  .action(async (homeAddress: string, homeAgent: string | undefined) => {
    await command("remove-visitor", { homeAddress, ...(homeAgent !== undefined && { homeAgent }) });
  });

program
  .command("multicast")
  .description("multicast groups that nodes have joined through their tunnels")
  .action(async () => show(options(), multicastDocument.parse(await get("/multicast")), multicastTable));

program
  .command("events")
  .description("what happens, a line each; without --follow the last ones only")
  .option("-f, --follow", "wait for more", false)
  .action(async ({ follow }: { follow: boolean }) => {
    const line = (text: string): void => {
      const event = eventDocument.parse(JSON.parse(text));
      print(options().output === "json" ? JSON.stringify(event) : eventText(event));
    };
    const { timeout: timeoutSeconds = DEFAULT_TIMEOUT_S.document } = options();
    await followLines(options().socket, follow ? "/events" : "/events/recent", line, { timeoutSeconds });
  });

program
  .command("wait")
  .addArgument(
    new Argument("<state>", "registered: away, and reachable there; home: at home").choices(["registered", "home"]),
  )
  .description("wait until a mobile node is registered or at home; --timeout ends it, with exit code 1")
  .action(async (wanted: "registered" | "home") => {
    const { socket: socketPath, timeout: timeoutSeconds } = options();
    const { reached, last = "unknown" } = await waitForReadiness(wanted, {
      socketPath,
      ...(timeoutSeconds !== undefined && { timeoutSeconds }),
      onAbsent: (reason) => void process.stderr.write(`dsmipctl: ${reason}; waiting\n`),
    });
    if (!reached)
      throw new MobilityError("MIP_TIMEOUT", `after ${timeoutSeconds} s the node is not ${wanted} but ${last}`);
  });

program
  .command("completion <shell>")
  .description("completion script for bash, zsh or fish, to be sourced")
  .action((shell: string) => {
    const names = program.commands.map((command) => command.name());
    print(completionScript(shell, names));
  });

program.parseAsync().catch((error: unknown) => {
  process.stderr.write(`dsmipctl: ${error instanceof MobilityError ? error.message : String(error)}\n`);
  process.exitCode = error instanceof MobilityError && error.code === "MIP_USAGE" ? 2 : 1;
});
