/** Starts services on a platform, each step for all of them, and ends them together, and then what they stand on. */
import type { Platform } from "./platform.js";
import type { Service, ServiceGround } from "./service.js";

/** Opens one service on the ground it is given. */
export interface ServiceOpener {
  readonly name: string;
  /** What the keys of its journal records begin with; absent: nothing. */
  readonly recordPrefix?: string;
  open(ground: ServiceGround): Promise<Service>;
}

export interface Running {
  stop(): Promise<void>;
}

/** Resolves when all of them answer. Throws MobilityError; then everything is closed, the platform too. */
export async function startServices(platform: Platform, openers: readonly ServiceOpener[]): Promise<Running> {
  const services: Service[] = [];
  try {
    for (const { name, recordPrefix, open } of openers) {
      const service = await open(platform.ground(name, recordPrefix));
      services.push(service);
      platform.attach(service);
    }
    await platform.require();
    platform.reconciler.declareComplete();
    await platform.reconciler.settled();
    for (const service of services) service.listen();
    await platform.serve();
    for (const service of services) service.begin();
  } catch (error) {
    for (const service of services.reverse()) service.abandon();
    // What goes wrong now is a consequence: the first cause is told.
    await platform
      .close()
      .catch((second: unknown) => platform.log.error({ event: "daemon.unclosed", reason: String(second) }));
    throw error;
  }
  return {
    stop: async () => {
      // A farewell may be a wait for an answer; each has its own peers and groups, and nobody waits for another's.
      const ends = await Promise.allSettled(services.reverse().map(async (service) => service.close()));
      // What the kernel and the disk are to be told at the end they are told, whoever has failed before.
      const [last] = await Promise.allSettled([platform.close()]);
      for (const end of [...ends, last]) if (end.status === "rejected") throw end.reason;
    },
  };
}
