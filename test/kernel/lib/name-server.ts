/** A DNS server of Debian (dnsmasq) in a node, and the questions in a capture. */
import type { Capture } from "./capture.js";
import type { Namespace } from "./namespace.js";
import type { Background } from "./process.js";

export const DNS_TYPE = { a: "1", aaaa: "28", srv: "33" } as const;

/** `records`: dnsmasq's words, "--srv-host=…", "--host-record=…". */
export function serveNames(node: Namespace, addresses: readonly string[], records: readonly string[]): Background {
  const quiet = ["-k", "-C", "/dev/null", "-u", "root", "--pid-file", "--no-resolv", "--no-hosts", "--bind-interfaces"];
  const listen = addresses.map((address) => `--listen-address=${address}`);
  return node.spawn(["dnsmasq", ...quiet, "--log-facility=-", ...listen, ...records], { name: "dnsmasq" });
}

/** "name type" of each question. */
export function questions(capture: Capture): string[] {
  return capture
    .tshark(["dns.qry.name", "dns.qry.type"], "dns.flags.response == 0")
    .map((fields) => `${fields["dns.qry.name"]} ${fields["dns.qry.type"]}`);
}
