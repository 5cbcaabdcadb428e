/**
 * Operations of one netlink family (nftables apart) in as few messages as possible. Theory of operation:
 * - Each operation becomes a job: steps that follow each other, each only if the one before was accepted, mostly of one request. In each
 *   turn all jobs send their next step together.
 * - Jobs of many requests (links) do not mix with others, because what comes after may stand on them.
 * - What the kernel refuses is settled: gone already is removed; there already is looked at (ours and equal: taken over, ours: changed,
 *   a stranger's: an error that shows it); a device with a new index is looked up again; an unknown outcome is found out by trying again.
 */
import { MobilityError } from "../base/errors.js";
import { EEXIST, ENODEV, EOPNOTSUPP } from "../netlink/errno.js";
import { KernelError } from "../netlink/errors.js";
import type { NetlinkMessage, NetlinkRequest } from "../netlink/message.js";
import { objectsEqual } from "../plan/objects/equal.js";
import { formatObjectShort } from "../plan/objects/format.js";
import { type KernelObject, OWNERSHIP } from "../plan/objects/objects.js";
import { isIrreplaceable } from "../plan/security/succession.js";
import type { Operation } from "../reconcile/kernel-port.js";
import type { AnyCodec, KernelNames } from "./codec.js";
import { allExisting, type Found, findExisting, type Lookup } from "./existing.js";
import { type Heir, inherit, predecessorsOf, wipeInheritance } from "./route/inheritance.js";

/** Taking over, changing, making again what vanished meanwhile: after that, somebody else is fighting us. */
const MAX_ROUNDS = 4;

export interface BatchContext extends Lookup {
  readonly refreshNames: () => Promise<void>;
}

interface Message {
  readonly request: NetlinkRequest;
  /** That there is nothing to remove is fine. */
  readonly absentOk: boolean;
}

/** What is sent without waiting for an answer in between. */
type Step = readonly Message[];

interface Job extends Heir {
  readonly object: KernelObject;
  readonly codec: AnyCodec;
  /** What is being tried; a creation that finds ours in another form becomes an update, an update that finds nothing a creation. */
  verb: Operation["verb"];
  /** What an update starts from. */
  previous: KernelObject | undefined;
  predecessors: readonly KernelObject[];
  inheritance: readonly NetlinkMessage[];
  steps: readonly Step[];
  next: number;
  /** Nothing is left to send. */
  done: boolean;
  /** Its device's index, or its lost outcome, has been looked for once. */
  retried: boolean;
  error: MobilityError | undefined;
}

/** One entry for each operation, in order: its error, or undefined. All are of the codecs' one family. */
export async function applyBatch(
  context: BatchContext,
  operations: readonly Operation[],
  codecs: ReadonlyMap<string, AnyCodec>,
): Promise<(MobilityError | undefined)[]> {
  const jobs = operations.map((operation) => newJob(operation, codecs));
  await probe(context, jobs);
  await inherit(context, jobs);
  let pending: Job[] = [];
  const flushPending = async (): Promise<void> => {
    const batch = pending;
    pending = [];
    await flush(context, batch);
  };
  for (const job of jobs) {
    if (job.done || !(await prepare(context, job, flushPending))) continue;
    if (!mayTravelTogether(pending.at(-1), job)) await flushPending();
    pending.push(job);
  }
  await flushPending();
  wipeInheritance(jobs);
  return jobs.map(({ object, error }) =>
    error instanceof KernelError ? error.about(formatObjectShort(object)) : error,
  );
}

function newJob(operation: Operation, codecs: ReadonlyMap<string, AnyCodec>): Job {
  const { object, verb } = operation;
  const codec = codecs.get(object.kind);
  if (codec === undefined) throw new KernelError(EOPNOTSUPP, { text: `no codec for ${object.kind}` });
  const previous = verb === "update" ? operation.previous : undefined;
  return {
    object,
    codec,
    verb,
    previous,
    predecessors: predecessorsOf(operation),
    inheritance: [],
    steps: [],
    next: 0,
    done: false,
    retried: false,
    error: undefined,
  };
}

function mayTravelTogether(before: Job | undefined, job: Job): boolean {
  if (before === undefined || (before.steps.length <= 1 && job.steps.length <= 1)) return true;
  return before.codec === job.codec;
}

/** Looks first at what the kernel would let us overwrite silently. */
async function probe(context: BatchContext, jobs: readonly Job[]): Promise<void> {
  const asking = jobs.filter(({ verb, codec }) => verb === "create" && codec.createOverwrites === true);
  if (asking.length === 0) return;
  const found = await findExisting(context, asking);
  for (const job of asking) {
    const present = found.get(job.object);
    if (present !== undefined) takeOver(job, present);
  }
}

/**
 * Encodes the job. A device that is not known may be one that the jobs before make (`flush`), or a new one. False: nothing is to be
 * sent, and the job's error says why or is absent.
 */
async function prepare(context: BatchContext, job: Job, flush: () => Promise<void>): Promise<boolean> {
  if (await isStrangersLink(context, job)) return false;
  if (encode(context, job)) return true;
  if (!isNoDevice(job.error)) return false;
  await flush();
  await context.refreshNames();
  if (encode(context, job)) return true;
  if (job.verb === "remove" && isNoDevice(job.error)) job.error = undefined; // gone with its device
  return false;
}

/** The kernel removes links by name: one that is not ours (any more) is left alone, as if it were not there. */
async function isStrangersLink({ names, refreshNames }: BatchContext, { verb, object }: Job): Promise<boolean> {
  if (object.kind !== "link" || verb !== "remove" || names.alias(object.name) === OWNERSHIP.linkAlias) return false;
  await refreshNames();
  const alias = names.alias(object.name);
  return alias !== undefined && alias !== OWNERSHIP.linkAlias;
}

/** False: it cannot be encoded, and the error says why. */
function encode(context: BatchContext, job: Job): boolean {
  job.next = 0;
  try {
    job.steps = steps(context, job);
    job.error = undefined;
    return true;
  } catch (error) {
    if (!(error instanceof MobilityError)) throw error;
    job.steps = [];
    job.error = error;
    return false;
  }
}

/** Throws MobilityError if a predecessor is gone: without its history the object would begin anew, and use what has been used. */
function creation({ object, codec, predecessors, inheritance }: Job, names: KernelNames): readonly NetlinkRequest[] {
  if (isIrreplaceable(object) && inheritance.length < predecessors.length)
    throw new MobilityError(
      "MIP_NO_HISTORY",
      `${formatObjectShort(object)}: what it continues is not in the kernel any more`,
    );
  if (inheritance.length === 0) return codec.create(object, names);
  return codec.succeed?.(object, inheritance) ?? codec.create(object, names);
}

function steps({ names }: BatchContext, job: Job): Step[] {
  const { object, codec, verb, previous = object } = job;
  const must = (request: NetlinkRequest): Step => [{ request, absentOk: false }];
  if (verb === "remove") return codec.remove(object, names).map(must);
  if (verb === "create") return creation(job, names).map(must);
  const change = codec.update(object, previous, names);
  if (change !== undefined) return change.map(must);
  const removal = codec.remove(previous, names).map((request): Step => [{ request, absentOk: true }]);
  const anew = [...removal, ...creation(job, names).map(must)];
  return codec.replacedInOneGo === true ? [anew.flat()] : anew;
}

/** Sends the jobs and settles what was refused, until every job has its outcome. */
async function flush(context: BatchContext, jobs: readonly Job[]): Promise<void> {
  let open = jobs;
  for (let round = 1; open.length > 0; round++) {
    await run(context, open);
    const failed = open.filter(({ error }) => error !== undefined);
    const again = await settle(context, failed);
    await inherit(context, again);
    open = round < MAX_ROUNDS ? again.filter((job) => encode(context, job)) : [];
    if (round === MAX_ROUNDS)
      for (const job of again) job.error ??= new KernelError(EEXIST, { text: "it keeps changing under our hands" });
  }
}

async function run(context: BatchContext, jobs: readonly Job[]): Promise<void> {
  for (;;) {
    const turn = jobs.flatMap((job) => {
      const step = job.error === undefined ? job.steps[job.next] : undefined;
      return step === undefined ? [] : [{ job, step }];
    });
    if (turn.length === 0) return;
    const messages = turn.flatMap(({ job, step }) => step.map((message) => ({ job, ...message })));
    const outcomes = await context.execute(messages.map(({ request }) => request));
    messages.forEach(({ job, absentOk }, i) => {
      const error = outcomes[i]?.error;
      if (!(absentOk && error?.isNotFound === true)) job.error ??= error;
    });
    for (const { job } of turn) job.next++;
  }
}

/** Clears the errors that are none, and returns the jobs that have something else to try. */
async function settle(context: BatchContext, failed: readonly Job[]): Promise<Job[]> {
  const found = await findExisting(context, failed.filter(({ verb }) => verb === "create").filter(isTaken));
  const again: Job[] = [];
  for (const job of failed) {
    const { error } = job;
    if (!(error instanceof KernelError)) continue;
    const present = found.get(job.object);
    if (present !== undefined) {
      if (takeOver(job, present)) again.push(job);
    } else if (isTaken(job)) {
      job.error = await blame(context, job, error);
    } else if (job.verb === "remove" && (await isGone(context, job, error))) {
      job.error = undefined;
    } else if (job.verb === "update" && error.isNotFound && !isStaleDevice(job, error)) {
      job.verb = "create";
      again.push(job);
    } else if (!job.retried && (isStaleDevice(job, error) || error.details.outcomeUnknown === true)) {
      job.retried = true;
      again.push(job);
    }
  }
  if (again.some(({ retried }) => retried)) await context.refreshNames();
  return again;
}

/** An object on a device may have been sent with the index of a former device of that name. */
function isStaleDevice({ object }: Job, error: KernelError): boolean {
  return error.errno === ENODEV && object.kind !== "link";
}

/** Decides on an object that is there already. True: the job goes on, as an update. */
function takeOver(job: Job, { object: present, ours, unfinished }: Found): boolean {
  job.error = undefined;
  if (!ours && !unfinished) {
    job.error = new KernelError(EEXIST, {
      text: `there is one already that is not ours: ${formatObjectShort(present)}`,
    });
    job.done = true;
    return false;
  }
  if (ours && objectsEqual(job.object, present)) {
    job.done = true;
    return false;
  }
  job.verb = "update";
  job.previous = present;
  job.predecessors = [...job.predecessors, present];
  wipeInheritance([job]);
  return true;
}

function isTaken({ verb, codec, error }: Job): boolean {
  if (verb === "remove" || !(error instanceof KernelError)) return false;
  return error.isExists || codec.takenErrors?.includes(error.errno) === true;
}

async function isGone(context: BatchContext, job: Job, error: KernelError): Promise<boolean> {
  if (error.isNotFound) return true;
  if (job.codec.absentErrors?.includes(error.errno) !== true) return false;
  return (await findExisting(context, [job])).size === 0;
}

/** EEXIST, but nothing with this key is there: some other object is in the way. */
async function blame(context: BatchContext, { codec, object }: Job, error: KernelError): Promise<KernelError> {
  if (codec.excludes === undefined) return error;
  const rival = (await allExisting(context, codec)).find(({ object: other }) => codec.excludes?.(object, other));
  return rival === undefined ? error : error.because(`another one is in the way: ${formatObjectShort(rival.object)}`);
}

function isNoDevice(error: MobilityError | undefined): boolean {
  return error instanceof KernelError && error.errno === ENODEV;
}
