/**
 * XFRM policies ⇄ messages. A policy is identified by type, direction, selector and mark; the kernel replaces everything else in
 * place (XFRM_MSG_UPDPOLICY). Ours are those whose priority lies in the band of OWNERSHIP.
 *
 * Kernel ≥ 6.8: packets that come in are no longer looked at for their Mobility Header type (seen on 6.12): an inbound policy for one
 * type never matches, so it protects nothing. Outbound, the type of what a raw socket sends is still known. Inbound policies must
 * name protocol 135 alone.
 */
import { DecodeError, EncodeError } from "../../base/errors.js";
import { familyOf } from "../../base/ip.js";
import { AttributeWriter, readAttributes } from "../../netlink/attribute.js";
import { NLM_F_DUMP } from "../../netlink/constants.js";
import { OWNERSHIP } from "../../plan/objects/objects.js";
import type { XfrmPolicy, XfrmTemplate } from "../../plan/objects/security.js";
import type { NetlinkRequest, ObjectCodec } from "../codec.js";
import {
  AF_INET,
  AF_INET6,
  IPPROTO_DSTOPTS,
  IPPROTO_ESP,
  IPPROTO_ROUTING,
  XFRM_MODE_ROUTEOPTIMIZATION,
  XFRM_MODE_TRANSPORT,
  XFRM_MODE_TUNNEL,
  XFRM_MSG_DELPOLICY,
  XFRM_MSG_GETPOLICY,
  XFRM_MSG_NEWPOLICY,
  XFRM_MSG_UPDPOLICY,
  XFRM_POLICY_ALLOW,
  XFRM_POLICY_BLOCK,
  XFRM_POLICY_FWD,
  XFRM_POLICY_IN,
  XFRM_POLICY_OUT,
  XFRM_POLICY_TYPE_MAIN,
  XFRM_POLICY_TYPE_SUB,
  XFRMA_MARK,
  XFRMA_POLICY,
  XFRMA_POLICY_TYPE,
  XFRMA_TMPL,
} from "./constants.js";
import {
  decodeMark,
  encodeMark,
  getSelector,
  putSelector,
  putUnlimitedLifetime,
  StructView,
  XFRM_STRUCTS,
} from "./layout.js";

const {
  xfrm_userpolicy_info: INFO,
  xfrm_userpolicy_id: ID,
  xfrm_userpolicy_type: TYPE,
  xfrm_user_tmpl: TMPL,
  xfrm_id,
} = XFRM_STRUCTS;
const PRIORITY_BAND = 0xffff;
const ALL_ALGORITHMS = 0xffffffff;

const DIRECTION = { in: XFRM_POLICY_IN, out: XFRM_POLICY_OUT, forward: XFRM_POLICY_FWD } as const;
const POLICY_TYPE = { main: XFRM_POLICY_TYPE_MAIN, sub: XFRM_POLICY_TYPE_SUB } as const;
const ACTION = { allow: XFRM_POLICY_ALLOW, block: XFRM_POLICY_BLOCK } as const;
const PROTOCOL = {
  esp: IPPROTO_ESP,
  "home-address-option": IPPROTO_DSTOPTS,
  "type2-routing-header": IPPROTO_ROUTING,
} as const;
const MODE = {
  transport: XFRM_MODE_TRANSPORT,
  tunnel: XFRM_MODE_TUNNEL,
  "route-optimisation": XFRM_MODE_ROUTEOPTIMIZATION,
} as const;

export const xfrmPolicyCodec: ObjectCodec<XfrmPolicy> = {
  kind: "xfrm-policy",
  family: "xfrm",

  create: (policy) => [policyRequest(XFRM_MSG_NEWPOLICY, policy)],
  update: (policy) => [policyRequest(XFRM_MSG_UPDPOLICY, policy)],

  remove: (policy) => [identityRequest(XFRM_MSG_DELPOLICY, policy)],
  find: (policy) => [identityRequest(XFRM_MSG_GETPOLICY, policy)],

  // Without a policy type attribute the dump holds main and sub policies.
  dump: () => [{ family: "xfrm", type: XFRM_MSG_GETPOLICY, flags: NLM_F_DUMP, body: new Uint8Array(0) }],

  decode(message, _names, ownOnly) {
    const found = policyBody(message);
    if (found === undefined) return undefined;
    const { info, attributes } = found;
    const priority = info.u32(INFO.priority);
    if (
      ownOnly &&
      (priority < OWNERSHIP.policyPriorityBase || priority > OWNERSHIP.policyPriorityBase + PRIORITY_BAND)
    ) {
      return undefined;
    }
    const selector = getSelector(info.part(INFO.sel, XFRM_STRUCTS.xfrm_selector.size));
    // Directions above "forward" are the policies of single sockets (IPV6_XFRM_POLICY).
    const direction = nameOf(DIRECTION, info.u8(INFO.dir));
    const templates = decodeTemplates(attributes.get(XFRMA_TMPL)?.payload ?? new Uint8Array(0));
    if (selector === undefined || direction === undefined || templates === undefined) return undefined;
    const type = attributes.get(XFRMA_POLICY_TYPE)?.payload[TYPE.type];
    const mark = attributes.get(XFRMA_MARK);
    return {
      kind: "xfrm-policy",
      direction,
      policyType: type === XFRM_POLICY_TYPE_SUB ? "sub" : "main",
      selector,
      priority,
      action: info.u8(INFO.action) === XFRM_POLICY_BLOCK ? "block" : "allow",
      ...(mark === undefined ? {} : { mark: decodeMark(mark.payload) }),
      templates,
    };
  },
};

function policyRequest(type: number, policy: XfrmPolicy): NetlinkRequest {
  const info = new StructView(new Uint8Array(INFO.size));
  putSelector(info.part(INFO.sel, XFRM_STRUCTS.xfrm_selector.size), policy.selector);
  putUnlimitedLifetime(info.part(INFO.lft, XFRM_STRUCTS.xfrm_lifetime_cfg.size));
  info.putU32(INFO.priority, policy.priority);
  info.putU8(INFO.dir, DIRECTION[policy.direction]);
  info.putU8(INFO.action, ACTION[policy.action]);
  const body = new AttributeWriter(512).raw(info.bytes);
  putIdentity(body, policy);
  if (policy.templates.length > 0) body.bytes(XFRMA_TMPL, encodeTemplates(policy.templates));
  return { family: "xfrm", type, flags: 0, body: body.finish() };
}

/** By what the kernel finds a policy. */
function identityRequest(type: number, policy: XfrmPolicy): NetlinkRequest {
  const id = new StructView(new Uint8Array(ID.size));
  putSelector(id.part(ID.sel, XFRM_STRUCTS.xfrm_selector.size), policy.selector);
  id.putU8(ID.dir, DIRECTION[policy.direction]);
  const body = new AttributeWriter(128).raw(id.bytes);
  putIdentity(body, policy);
  return { family: "xfrm", type, flags: 0, body: body.finish() };
}

/** The parts of a policy's identity that stand in attributes. */
function putIdentity(body: AttributeWriter, policy: XfrmPolicy): void {
  const type = new Uint8Array(TYPE.size);
  type[TYPE.type] = POLICY_TYPE[policy.policyType];
  body.bytes(XFRMA_POLICY_TYPE, type);
  if (policy.mark !== undefined) body.bytes(XFRMA_MARK, encodeMark(policy.mark));
}

function encodeTemplates(templates: readonly XfrmTemplate[]): Uint8Array {
  const bytes = new Uint8Array(TMPL.size * templates.length);
  templates.forEach((template, i) => {
    const view = new StructView(bytes.subarray(i * TMPL.size, (i + 1) * TMPL.size));
    view.putAddress(TMPL.id + xfrm_id.daddr, template.destination);
    view.putU8(TMPL.id + xfrm_id.proto, PROTOCOL[template.protocol]);
    const [from, to] = [familyOf(template.source), familyOf(template.destination)];
    if (from !== to) throw new EncodeError("template", "two address families in one template");
    view.putU16(TMPL.family, from === 4 ? AF_INET : AF_INET6);
    view.putAddress(TMPL.saddr, template.source);
    view.putU32(TMPL.reqid, template.reqid);
    view.putU8(TMPL.mode, MODE[template.mode]);
    view.putU8(TMPL.optional, template.optional ? 1 : 0);
    for (const field of [TMPL.aalgos, TMPL.ealgos, TMPL.calgos]) view.putU32(field, ALL_ALGORITHMS);
  });
  return bytes;
}

/** undefined if one of them is nothing that we make (AH, IPComp). */
function decodeTemplates(payload: Uint8Array): XfrmTemplate[] | undefined {
  if (payload.length % TMPL.size !== 0) {
    throw new DecodeError(`${payload.length} octets, a multiple of ${TMPL.size} wanted`, {
      offset: 0,
      field: "XFRMA_TMPL",
    });
  }
  const templates: XfrmTemplate[] = [];
  for (let at = 0; at < payload.length; at += TMPL.size) {
    const view = StructView.over(payload, "xfrm_user_tmpl", at);
    const protocol = nameOf(PROTOCOL, view.u8(TMPL.id + xfrm_id.proto));
    const mode = nameOf(MODE, view.u8(TMPL.mode));
    const family = view.u16(TMPL.family);
    if (protocol === undefined || mode === undefined || (family !== AF_INET6 && family !== AF_INET)) return undefined;
    templates.push({
      protocol,
      mode,
      source: view.address(TMPL.saddr, family),
      destination: view.address(TMPL.id + xfrm_id.daddr, family),
      reqid: view.u32(TMPL.reqid),
      optional: view.u8(TMPL.optional) !== 0,
    });
  }
  return templates;
}

/** Dumps and notifications of new policies begin with the info; of a removed policy it stands in XFRMA_POLICY. */
function policyBody({ type, body }: { type: number; body: Uint8Array }) {
  if (type === XFRM_MSG_NEWPOLICY || type === XFRM_MSG_UPDPOLICY) {
    return {
      info: StructView.over(body, "xfrm_userpolicy_info"),
      attributes: readAttributes(body.subarray(INFO.size), INFO.size),
    };
  }
  if (type !== XFRM_MSG_DELPOLICY) return undefined;
  const attributes = readAttributes(body.subarray(ID.size), ID.size);
  const info = attributes.get(XFRMA_POLICY);
  return info === undefined ? undefined : { info: StructView.over(info.payload, "xfrm_userpolicy_info"), attributes };
}

function nameOf<K extends string>(table: Readonly<Record<K, number>>, value: number): K | undefined {
  return (Object.keys(table) as K[]).find((name) => table[name] === value);
}
