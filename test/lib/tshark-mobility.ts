/** What tshark should read in a Mobility Header, by its own field names. Numbers only: its names for them are partly wrong. */
import { toHex } from "../../controller/base/bytes.js";
import type { KnownMessage, MobilityMessage } from "../../controller/wire/mip6/messages/mobility-message.js";
import type { MobilityOption } from "../../controller/wire/mip6/options/mobility.js";

type Fields = Record<string, string[]>;
type Part<T extends KnownMessage["type"]> = Extract<KnownMessage, { readonly type: T }>;

const bit = (value: boolean): string => (value ? "1" : "0");
const hex = (octets: Uint8Array): string => `0x${toHex(octets)}`;

/** tshark 4.0 reads these options; of the others it shows type and length. */
function optionFields(option: MobilityOption): Record<string, string> {
  switch (option.kind) {
    case "binding-refresh-advice":
      return { "mip6.bra.interval": `${option.intervalUnits}` };
    case "alternate-care-of-address":
      return { "mip6.acoa.acoa": option.address };
    case "nonce-indices":
      return { "mip6.ni.hni": `${option.homeNonceIndex}`, "mip6.ni.cni": `${option.careOfNonceIndex}` };
    case "binding-authorization-data":
      return { "mip6.bad.auth": toHex(option.authenticator) };
    case "mobile-network-prefix":
      return { "mip6.nemo.mnp.pfl": `${option.prefixLength}`, "mip6.nemo.mnp.mnp": option.prefix };
    case "mobile-node-identifier":
      return { "mip6.mnid.subtype": `${option.subtype}` };
    case "authentication":
      return {
        "mip6.auth.subtype": `${option.subtype}`,
        "mip6.auth.mobility_spi": `${option.spi}`,
      };
    case "dns-update":
      return { "mip6.dnsu.status": `${option.status}`, "mip6.dnsu.flag.r": bit(option.remove) };
    case "ipv4-home-address":
      return {
        "mip6.ipv4ha.preflen": `${option.prefixLength}`,
        "mip6.ipv4ha.p_flag": bit(option.mobileNetworkPrefix),
        "mip6.ipv4ha.ha": option.address,
      };
    case "ipv4-address-acknowledgement":
      return {
        "mip6.ipv4aa.sts": `${option.status}`,
        "mip6.ipv4ha.preflen": `${option.prefixLength}`,
        "mip6.ipv4ha.ha": option.address,
      };
    case "nat-detection":
      return { "mip6.natd.f_flag": bit(option.forceUdp), "mip6.natd.refresh_t": `${option.refreshSeconds}` };
    case "ipv4-care-of-address":
      return { "mip6.ipv4coa.addr": option.address };
    case "binding-identifier":
      return { "mip6.bi.bid": `${option.bindingId}`, "mip6.bi.status": `${option.status}` };
    default:
      return {};
  }
}

function bindingUpdate({ sequence, flags, lifetimeUnits }: Part<"binding-update">): Record<string, string> {
  return {
    "mip6.bu.seqnr": `${sequence}`,
    "mip6.bu.a_flag": bit(flags.acknowledge),
    "mip6.bu.h_flag": bit(flags.homeRegistration),
    "mip6.bu.l_flag": bit(flags.linkLocalCompatibility),
    "mip6.bu.k_flag": bit(flags.keyManagementMobility),
    "mip6.bu.m_flag": bit(flags.mapRegistration),
    "mip6.nemo.bu.r_flag": bit(flags.mobileRouter),
    "mip6.bu.p_flag": bit(flags.proxyRegistration),
    "mip6.bu.f_flag": bit(flags.forceUdp),
    "mip6.bu.t_flag": bit(flags.tlv),
    "mip6.bu.b_flag": bit(flags.bulk),
    "mip6.bu.lifetime": `${lifetimeUnits}`,
  };
}

function bindingAcknowledgement(message: Part<"binding-acknowledgement">): Record<string, string> {
  const { status, flags, sequence, lifetimeUnits } = message;
  return {
    "mip6.ba.status": `${status}`,
    "mip6.ba.k_flag": bit(flags.keyManagementMobility),
    "mip6.nemo.ba.r_flag": bit(flags.mobileRouter),
    "mip6.ba.p_flag": bit(flags.proxyRegistration),
    "mip6.ba.t_flag": bit(flags.tlv),
    "mip6.ba.b_flag": bit(flags.bulk),
    "mip6.ba.seqnr": `${sequence}`,
    "mip6.ba.lifetime": `${lifetimeUnits}`,
  };
}

function fixedFields(message: KnownMessage): Record<string, string> {
  switch (message.type) {
    case "binding-update":
      return bindingUpdate(message);
    case "binding-acknowledgement":
      return bindingAcknowledgement(message);
    case "home-test-init":
      return { "mip6.hoti.cookie": hex(message.cookie) };
    case "care-of-test-init":
      return { "mip6.coti.cookie": hex(message.cookie) };
    case "home-test":
      return {
        "mip6.hot.nindex": `${message.nonceIndex}`,
        "mip6.hot.cookie": hex(message.cookie),
        "mip6.hot.token": hex(message.keygenToken),
      };
    case "care-of-test":
      return {
        "mip6.cot.nindex": `${message.nonceIndex}`,
        "mip6.cot.cookie": hex(message.cookie),
        // tshark gives the care-of keygen token the name of the home keygen token.
        "mip6.hot.token": hex(message.keygenToken),
      };
    case "binding-error":
      return { "mip6.be.status": `${message.status}`, "mip6.be.haddr": message.homeAddress };
    case "home-agent-switch":
      return { "mip6.has.num_addrs": `${message.addresses.length}` };
    case "binding-revocation-indication":
      return {
        "mip6.bri_br.type": "1",
        "mip6.bri_r.trigger": `${message.trigger}`,
        "mip6.bri_seqnr": `${message.sequence}`,
        "mip6.bri_ip": bit(message.flags.proxyBinding),
        "mip6.bri_iv": bit(message.flags.ipv4HomeAddressOnly),
        "mip6.bri_ig": bit(message.flags.global),
      };
    case "binding-revocation-acknowledgement":
      return {
        "mip6.bri_br.type": "2",
        "mip6.bri_status": `${message.status}`,
        "mip6.bri_seqnr": `${message.sequence}`,
        "mip6.bri_ap": bit(message.flags.proxyBinding),
        "mip6.bri_av": bit(message.flags.ipv4HomeAddressOnly),
        "mip6.bri_ag": bit(message.flags.global),
      };
    case "binding-refresh-request":
      return {};
  }
}

/** Values by tshark field name for a message in `bytes`. */
export function expectedFields(message: MobilityMessage, bytes: Uint8Array): Fields {
  const fields: Fields = {
    "mip6.proto": ["59"],
    "mip6.hlen": [`${bytes.length / 8 - 1}`],
    "mip6.mhtype": [`${bytes[2]}`],
    "mip6.csum": [`0x${toHex(bytes.subarray(4, 6))}`],
  };
  if (message.type === "unknown") return fields;
  for (const [field, value] of Object.entries(fixedFields(message))) fields[field] = [value];
  for (const option of message.options) {
    for (const [field, value] of Object.entries(optionFields(option)))
      fields[field] = [...(fields[field] ?? []), value];
  }
  return fields;
}
