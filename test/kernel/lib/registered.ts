/** A home agent with the real daemon at which Alice is registered from behind a NAT. */
import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import { BindingStatus } from "../../../controller/wire/mip6/registry.js";
import { type Acknowledged, ALICE, HostileWorld, inventoryOf, wantsIpv4 } from "./hostile.js";

export async function aliceRegistered(t: TestContext) {
  const hostile = new HostileWorld(t);
  const { ha } = hostile;
  await hostile.open();
  let sequence = 0;
  /** Again, with the next sequence number or with this one. */
  const register = (number = ++sequence): Promise<Acknowledged> =>
    hostile.update(ALICE, { sequence: number, options: [wantsIpv4(ALICE)] }, { sourcePort: 40000 });
  assert.equal((await register()).message.status, BindingStatus.accepted);
  return {
    ...{ hostile, ha, register },
    /** The sequence number that was used last. */
    last: (): number => sequence,
    /** What of dsmipd is in the home agent's kernel. */
    inventory: (): string => inventoryOf(ha),
  };
}
