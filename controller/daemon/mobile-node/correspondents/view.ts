/** Correspondents of a mobile node as the control interface shows them. Pure. */
import type { CorrespondentDocument } from "../../../../schemas/control.js";
import { elapsed, type Instant } from "../../../base/time.js";
import type { CorrespondentsState } from "../../../protocol/mip6/mobile-node/correspondents/machine.js";

export function correspondentDocuments(
  { site, entries, pauses }: CorrespondentsState,
  now: Instant,
): readonly CorrespondentDocument[] {
  const { homeAddress } = site;
  const left = (until: Instant): number => Math.max(0, elapsed(now, until));
  const known = [...entries.values()].map((entry): CorrespondentDocument => {
    const { correspondent, phase, path, careOf, binding } = entry;
    const direct = path?.path.stage === "bound" && path.status === "realised";
    const pause = pauses.get(correspondent);
    // Of one that has failed nothing but a way in may be left.
    const paused = phase === "left" && pause?.lifted === false ? pause : undefined;
    const until = binding?.expiresAt ?? paused?.until;
    return {
      ...{ end: "mobile-node", homeAddress, correspondent, state: paused === undefined ? phase : "paused", direct },
      ...{ ipv4: null, mode: null, observed: null },
      careOfAddress: binding?.careOf ?? careOf ?? null,
      acceptedFrom: path === undefined ? [] : [path.path.careOf, ...path.path.former],
      sequence: binding?.sequence ?? null,
      lifetimeSeconds: binding?.lifetime ?? null,
      remainingSeconds: until === undefined ? null : left(until),
      idleSeconds: binding === undefined ? null : Math.max(0, elapsed(entry.usedAt, now)),
      reason: paused?.reason ?? null,
    };
  });
  const paused = [...pauses].flatMap(([correspondent, { until, lifted, reason }]): CorrespondentDocument[] =>
    lifted || entries.has(correspondent)
      ? []
      : [
          {
            ...{ end: "mobile-node", homeAddress, correspondent, state: "paused", direct: false },
            ...{ ipv4: null, mode: null, observed: null },
            ...{ careOfAddress: null, acceptedFrom: [], sequence: null, lifetimeSeconds: null },
            ...{ remainingSeconds: left(until), idleSeconds: null, reason },
          },
        ],
  );
  return [...known, ...paused];
}
