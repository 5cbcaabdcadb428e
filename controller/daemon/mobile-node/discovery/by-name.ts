/** Home agents by name: the service _mip6._ipv6 of a domain (RFC 5026 §5.1), or the addresses of one name (RFC 5555 §2.1). */
import type { Ipv4Address, Ipv6Address } from "../../../base/ip.js";
import {
  candidatesOf,
  type HomeAgentCandidate,
  type NameAddresses,
  orderServices,
  publicationFault,
} from "../../../protocol/mip6/mobile-node/discovery/candidates.js";
import { DNS_TYPE, type DnsRecord } from "../../../wire/dns/message.js";
import type { NameClient } from "./name-client.js";

export interface NameSearch {
  /** In the order in which they are to be tried. */
  readonly candidates: readonly HomeAgentCandidate[];
  /** Sentences for the operator: why there are none, or what of them is missing. */
  readonly faults: readonly string[];
  /** A question had no answer: there may be more, and what was known before still stands. */
  readonly incomplete?: boolean | undefined;
  /** The visited network has said so, and nobody else: no reason to leave a home agent that answers. */
  readonly offered?: boolean | undefined;
}

/** Never rejects. `random`: 0 up to, but not, 1. */
export async function homeAgentsOfDomain(
  domain: string,
  client: Pick<NameClient, "ask">,
  random: () => number,
): Promise<NameSearch> {
  const name = `_mip6._ipv6.${domain}`;
  const answer = await client.ask({ name, type: DNS_TYPE.srv });
  if (answer === undefined)
    return { candidates: [], faults: [`no name server has answered for ${name}`], incomplete: true };
  const owner = ownerOf(name, answer.answers);
  const services = answer.answers.flatMap((record) => (record.type === "srv" && record.name === owner ? [record] : []));
  if (services.length === 0) return { candidates: [], faults: [`${name} has no SRV record`] };
  const targets = orderServices(services, random);
  const addresses = await Promise.all(
    targets.map((target) => addressesOf(target, client, [...answer.answers, ...answer.additional])),
  );
  return searched(addresses);
}

/** Never rejects. */
export async function homeAgentsOfName(name: string, client: Pick<NameClient, "ask">): Promise<NameSearch> {
  return searched([await addressesOf(name, client, [])]);
}

function searched(addresses: readonly NameAddresses[]): NameSearch {
  const faults = addresses.map(publicationFault).filter((fault) => fault !== undefined);
  const incomplete = addresses.some(({ ipv6, ipv4 }) => ipv6 === undefined || ipv4 === undefined);
  return { candidates: candidatesOf(addresses), faults, ...(incomplete && { incomplete }) };
}

/** What is known already is not asked for again (RFC 5555 §2.1). */
async function addressesOf(
  name: string,
  client: Pick<NameClient, "ask">,
  known: readonly DnsRecord[],
): Promise<NameAddresses> {
  const [ipv6, ipv4] = await Promise.all([
    addressRecords(name, known, "aaaa") ?? ask(name, client, "aaaa"),
    addressRecords(name, known, "a") ?? ask(name, client, "a"),
  ]);
  return {
    name,
    ipv6: ipv6 as readonly Ipv6Address[] | undefined,
    ipv4: ipv4 as readonly Ipv4Address[] | undefined,
  };
}

/** Undefined: nobody has answered. */
async function ask(name: string, client: Pick<NameClient, "ask">, type: "a" | "aaaa") {
  const answer = await client.ask({ name, type: DNS_TYPE[type] });
  return answer === undefined ? undefined : (addressRecords(name, answer.answers, type) ?? []);
}

/** Undefined: nothing is known. */
function addressRecords(name: string, records: readonly DnsRecord[], type: "a" | "aaaa") {
  const owner = ownerOf(name, records);
  const found = records.flatMap((record) => (record.type === type && record.name === owner ? [record.address] : []));
  return found.length === 0 ? undefined : found;
}

/** More aliases one after the other lead nowhere, or round. */
const MAX_ALIASES = 8;

/** The canonical name, as far as the records tell (RFC 1034 §3.6.2). */
function ownerOf(name: string, records: readonly DnsRecord[]): string {
  let owner = name.toLowerCase();
  for (let count = 0; count < MAX_ALIASES; count++) {
    const alias = records.find((record) => record.type === "cname" && record.name === owner);
    if (alias?.type !== "cname") return owner;
    owner = alias.target;
  }
  return owner;
}
