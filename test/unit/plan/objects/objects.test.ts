/** What makes two kernel objects one: what the kernel cannot hold side by side, and no more than that. */
import t from "tap";
import { hostPrefix, ipv6 } from "../../../../controller/base/ip.js";
import { objectKey } from "../../../../controller/plan/objects/objects.js";
import type { XfrmPolicy, XfrmSelector } from "../../../../controller/plan/objects/security.js";

const [A, B] = [hostPrefix(ipv6("2001:db8::1")), hostPrefix(ipv6("2001:db8::2"))];
const policy = (selector: Partial<XfrmSelector>, rest: Partial<XfrmPolicy> = {}): XfrmPolicy => ({
  kind: "xfrm-policy",
  direction: "out",
  policyType: "main",
  selector: { source: A, destination: B, protocol: 58, ...selector },
  priority: 1,
  action: "allow",
  templates: [],
  ...rest,
});

t.test("policies for different messages are different policies", (test) => {
  const all = [
    policy({}),
    policy({ icmpv6Errors: true }),
    policy({ icmpv6Type: 146 }),
    policy({ icmpv6Type: 147 }),
    policy({ protocol: 135 }),
    policy({ protocol: 135, mobilityHeaderType: 1 }),
    policy({ protocol: 135, mobilityHeaderType: 3 }),
    policy({ source: B, destination: A }),
    policy({}, { direction: "in" }),
    policy({}, { policyType: "sub" }),
    policy({}, { mark: { value: 1, mask: 1 } }),
  ];
  test.equal(new Set(all.map(objectKey)).size, all.length);
  test.equal(objectKey(policy({}, { priority: 2, action: "block" })), objectKey(policy({})), "the kernel changes it");
  test.end();
});
