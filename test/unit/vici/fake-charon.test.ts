/** The fake charon keeps what charon promises a client (test/contract/vici.ts). */
import t from "tap";
import { VICI_CONTRACT } from "../../contract/vici.js";
import { FakeCharon } from "../../fake/fake-charon.js";

for (const { name, run } of VICI_CONTRACT) {
  t.test(name, async (test) => {
    const charon = new FakeCharon();
    await run({
      connect: charon.connect,
      kill: async () => charon.kill(),
      start: async () => charon.start(),
    });
    test.equal(charon.clients, 0, "no connection is left open");
  });
}
