/** The real charon keeps what the tests of the session and the client rest on (test/contract/vici.ts). */
import t from "tap";
import { VICI_CONTRACT } from "../../contract/vici.js";
import { charonMissing, RealCharon } from "../../lib/charon.js";

const skip = charonMissing();

for (const { name, run } of VICI_CONTRACT) {
  t.test(name, { skip }, async (test) => {
    const charon = new RealCharon();
    test.teardown(() => charon.dispose());
    await charon.start();
    await run(charon);
    test.pass("kept");
  });
}
