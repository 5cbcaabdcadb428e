/** Correspondents of a mobile node as the control interface shows them. Pure. */
import type { CorrespondentDocument } from "../../../../schemas/control.js";
import { type IpAddress, isIpv4 } from "../../../base/ip.js";
import { elapsed, type Instant } from "../../../base/time.js";
import type { CorrespondentsState } from "../../../protocol/mip6/mobile-node/correspondents/machine.js";
import { keyOf } from "../../../protocol/mip6/mobile-node/correspondents/model.js";
import { ipv6Of } from "../../../protocol/mip6/mobile-node/correspondents/modes.js";

export function correspondentDocuments(
  { site, whereabouts, entries, pairs, pauses }: CorrespondentsState,
  now: Instant,
): readonly CorrespondentDocument[] {
  const { homeAddress } = site;
  const ipv4HomeAddress = whereabouts.kind === "away" ? whereabouts.ipv4HomeAddress : undefined;
  /** Of one that has been asked about: under its IPv6 address, if that is known. */
  const endOf = (key: IpAddress): Pick<CorrespondentDocument, "correspondent" | "ipv4"> => {
    if (!isIpv4(key)) return { correspondent: key, ipv4: null };
    const ipv4 = ipv4HomeAddress === undefined ? null : { homeAddress: ipv4HomeAddress, correspondent: key };
    return { correspondent: ipv6Of(site, key) ?? key, ipv4 };
  };
  const left = (until: Instant): number => Math.max(0, elapsed(now, until));
  const known = [...entries.values()].map((entry): CorrespondentDocument => {
    const { correspondent, ipv4, phase, careOf, binding } = entry;
    const path = pairs.get(correspondent)?.path;
    const carries = ipv4 === undefined ? path?.path.ipv6 === true : path?.path.ipv4 !== undefined;
    const direct = carries && path?.path.stage === "bound" && path.status === "realised";
    const pause = pauses.get(keyOf(entry));
    // Of one that has failed nothing but a way in may be left.
    const paused = phase === "left" && pause?.lifted === false ? pause : undefined;
    const until = binding?.expiresAt ?? paused?.until;
    return {
      ...{ end: "mobile-node", homeAddress, correspondent, state: paused === undefined ? phase : "paused", direct },
      ...{ ipv4: ipv4 ?? null, mode: binding?.mode ?? null, observed: null },
      careOfAddress: binding?.careOf ?? careOf ?? null,
      acceptedFrom: path === undefined ? [] : [path.path.careOf, ...path.path.former],
      sequence: binding?.sequence ?? null,
      lifetimeSeconds: binding?.lifetime ?? null,
      remainingSeconds: until === undefined ? null : left(until),
      idleSeconds: binding === undefined ? null : Math.max(0, elapsed(entry.usedAt, now)),
      reason: paused?.reason ?? null,
    };
  });
  const paused = [...pauses].flatMap(([key, { until, lifted, reason }]): CorrespondentDocument[] =>
    lifted || entries.has(key)
      ? []
      : [
          {
            ...{ end: "mobile-node", homeAddress, ...endOf(key), state: "paused", direct: false, mode: null },
            observed: null,
            ...{ careOfAddress: null, acceptedFrom: [], sequence: null, lifetimeSeconds: null },
            ...{ remainingSeconds: left(until), idleSeconds: null, reason },
          },
        ],
  );
  return [...known, ...paused];
}
