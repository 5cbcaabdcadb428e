/**
 * Single moves of one mobile node between IPv6 and public IPv4, with static keys and with keys by IKEv2 whose SA moves along: real
 * daemons, a real charon on both sides, each as in the kernel tests. What passes the home agent's wire tells the times.
 */
import type { TestContext } from "node:test";
import type { Frame } from "../kernel/lib/capture.js";
import { ipLayersOf } from "../kernel/lib/frames.js";
import { crossAll, spis } from "../kernel/lib/keys.js";
import { HOME_AGENT, type Mobile, Scene, type SceneOptions } from "../kernel/lib/scene.js";
import { quantile, rounded } from "./statistics.js";

export const KEYS = ["static", "ikev2"] as const;
export type Keys = (typeof KEYS)[number];

export interface HandoverReport {
  readonly keys: Keys;
  readonly moves: number;
  /** Milliseconds from the first binding update to the acknowledgement, at the home agent's device. */
  readonly exchange: Spread;
  /** From the `ip` command that brings or takes the preferred access to the acknowledgement. */
  readonly total: Spread;
  /** Updates that were sent again. */
  readonly repeated: number;
}

export interface Spread {
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

const ESP = 50;
const OUR_ENDS: ReadonlySet<string> = new Set([HOME_AGENT.ipv6, HOME_AGENT.ipv4]);
const WARM_UP = 2;

export async function measureHandovers(
  moves: number,
  note: (text: string) => void,
): Promise<readonly HandoverReport[]> {
  const reports: HandoverReport[] = [];
  for (const keys of KEYS) {
    note(`${moves} moves, keys: ${keys}`);
    reports.push(await withScene(keys === "ikev2" ? { ike: {} } : {}, (scene) => measure(scene, keys, moves)));
  }
  return reports;
}

/** The scene is made for tests; what it wants of one is a name and its end. */
export async function withScene<T>(options: SceneOptions, use: (scene: Scene) => Promise<T>): Promise<T> {
  const endings: (() => unknown)[] = [];
  const test = { name: "bench", passed: true, after: (ending: () => unknown) => void endings.push(ending) };
  try {
    return await use(await Scene.start(test as unknown as TestContext, options));
  } finally {
    for (const ending of endings) await ending();
  }
}

async function measure(scene: Scene, keys: Keys, moves: number): Promise<HandoverReport> {
  const { mobile } = scene;
  scene.attach(mobile, "six");
  await mobile.daemon.start();
  await scene.settled(mobile, "six");
  await crossAll(scene, mobile);
  const before = await spis(mobile);
  const times: MoveTimes[] = [];
  for (let i = 0; i < WARM_UP + moves; i++) {
    const one = await move(scene, mobile, i % 2 === 0 ? "four" : "six");
    if (i >= WARM_UP) times.push(one);
  }
  await crossAll(scene, mobile);
  const after = await spis(mobile);
  if (String(before) !== String(after)) throw new Error(`moves made new keys: ${before} became ${after}`);
  const updates = times.reduce((sum, one) => sum + one.updates, 0);
  return {
    keys,
    moves,
    exchange: spread(times.map(({ update, acknowledgement }) => acknowledgement - update)),
    total: spread(times.map(({ begin, acknowledgement }) => acknowledgement - begin)),
    repeated: updates - moves,
  };
}

/** In seconds of the clock that the capture has. */
interface MoveTimes {
  readonly begin: number;
  readonly update: number;
  readonly acknowledgement: number;
  readonly updates: number;
}

async function move(scene: Scene, mobile: Mobile, to: "six" | "four"): Promise<MoveTimes> {
  const known = scene.wire.frames().length;
  // IPv6 is preferred while it is there: its coming or going is what makes the node move.
  if (to === "four") scene.attach(mobile, to);
  const begin = Date.now() / 1000;
  if (to === "six") scene.attach(mobile, to);
  scene.detach(mobile, to === "six" ? "four" : "six");
  await scene.settled(mobile, to);
  const signalling = scene.wire.frames().slice(known).filter(isSignalling);
  const sent = signalling.filter((frame) => !isOurs(frame));
  const [update] = sent;
  const acknowledgement = signalling.find((frame) => isOurs(frame) && frame.at > (update?.at ?? 0));
  if (update === undefined || acknowledgement === undefined) throw new Error(`no registration seen from ${to}`);
  // A registration that is refreshed later is none of this move.
  const updates = sent.filter(({ at }) => at < acknowledgement.at).length;
  return { begin, update: update.at, acknowledgement: acknowledgement.at, updates };
}

/** Without protected payload all ESP is signalling, over IPv4 in an IPv6 packet in UDP. */
const isSignalling = ({ layers }: Frame): boolean =>
  layers.some((layer) => layer.kind === "other" && layer.protocol === ESP);

function isOurs(frame: Frame): boolean {
  const [outer] = ipLayersOf(frame);
  return outer !== undefined && OUR_ENDS.has(outer.source);
}

const spread = (seconds: readonly number[]): Spread => ({
  p50Ms: rounded(1000 * quantile(seconds, 0.5)),
  p99Ms: rounded(1000 * quantile(seconds, 0.99)),
  maxMs: rounded(1000 * Math.max(...seconds)),
});
