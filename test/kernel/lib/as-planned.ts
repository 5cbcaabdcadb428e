/** What an operator finds at a daemon's machine: what was planned, in tables that can be listed. */
import assert from "node:assert/strict";
import type { Daemon } from "./daemons.js";

/**
 * The audit of each finds nothing, and `nft` lists the rules as text and as JSON: nft 1.0.6 (Debian 12) ends with a failed assertion over
 * some rules that the kernel takes, and with it every listing of the operator's.
 */
export async function asPlanned(...daemons: readonly Daemon[]): Promise<void> {
  for (const daemon of daemons) {
    const { namespace } = daemon;
    assert.deepEqual((await daemon.audit()).differences, [], namespace.label);
    namespace.script("nft list ruleset > /dev/null; nft -j list ruleset > /dev/null");
  }
}
