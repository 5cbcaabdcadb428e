/** Start-up of a home agent with very many subscribers: how long until it answers, and how much memory it takes. */
import { startHomeAgent } from "./home-agent.js";
import { homeAgentMachine, Machine } from "./machines.js";
import { rounded } from "./statistics.js";

export interface ScaleReport {
  readonly subscribers: number;
  readonly startSeconds: number;
  readonly residentMiB: number;
  readonly peakMiB: number;
}

export async function measureScale(subscribers: number): Promise<ScaleReport> {
  using load = new Machine("load");
  using home = homeAgentMachine(load, "ha", { answer: false });
  const agent = await startHomeAgent(home.machine, subscribers);
  const { resident, peak } = agent.memory();
  await agent.kill();
  const mebi = (octets: number): number => rounded(octets / 2 ** 20);
  return {
    subscribers,
    startSeconds: rounded(agent.startMs / 1000),
    residentMiB: mebi(resident),
    peakMiB: mebi(peak),
  };
}
