import { readFileSync } from "node:fs";
import t from "tap";
import { FIREWALL_WORDS, XFRM_WORDS } from "../../../../controller/control/counter-words.js";
import { xfrmCounters } from "../../../../controller/daemon/security/xfrm-counters.js";

t.test("the kernel's counters of IPsec are read by name; a kernel that has none gives none", (t) => {
  const text = "XfrmInError             \t0\nXfrmInNoStates          \t12\n";
  t.strictSame(
    xfrmCounters(() => text),
    { XfrmInError: 0, XfrmInNoStates: 12 },
  );
  const missing = (): string => readFileSync("/nowhere/xfrm_stat", "utf8");
  t.strictSame(xfrmCounters(missing), {});
  t.end();
});

t.test("each counter has words of its own", (t) => {
  const words = [...Object.values(XFRM_WORDS), ...Object.values(FIREWALL_WORDS)];
  t.equal(new Set(words).size, words.length);
  t.end();
});
