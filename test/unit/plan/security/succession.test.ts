/** Which security associations take on from which. */
import t from "tap";
import { type IpAddress, ipv4, ipv6 } from "../../../../controller/base/ip.js";
import { Secret } from "../../../../controller/base/secret.js";
import { type KernelObject, OWNERSHIP } from "../../../../controller/plan/objects/objects.js";
import type { AeadState, XfrmState } from "../../../../controller/plan/objects/security.js";
import { RECEIVING_PLAIN_MARK, RECEIVING_UDP_MARK, SENDING_MARK } from "../../../../controller/plan/security/marks.js";
import {
  isSending,
  mayTakeOn,
  predecessorsOf,
  successionKey,
} from "../../../../controller/plan/security/succession.js";

const [HOME_AGENT, NODE, MOVED] = [ipv6("2001:db8:1::1"), ipv6("2001:db8:a::11"), ipv4("203.0.114.11")];
const key = (last: number): Secret => new Secret(new Uint8Array(20).fill(1).fill(last, 19));

function state(
  destination: IpAddress,
  transform: Partial<AeadState> = {},
  changes: Partial<XfrmState> = {},
): XfrmState {
  return {
    kind: "xfrm-state",
    source: HOME_AGENT,
    destination,
    reqid: OWNERSHIP.reqidBase + 19,
    transform: {
      type: "esp",
      spi: 0x1000,
      mode: "tunnel",
      aead: { algorithm: "rfc4106(gcm(aes))", key: key(1), icvLength: 16 },
      replayWindow: 4096,
      mark: SENDING_MARK,
      ...transform,
    },
    ...changes,
  };
}

const PRESENT = state(NODE);
const found = (object: KernelObject, ...present: readonly KernelObject[]): readonly KernelObject[] =>
  predecessorsOf(object, present);

t.test("the same keys at another end, or in another encapsulation, hand on their numbers", (t) => {
  t.strictSame(found(state(MOVED), PRESENT), [PRESENT]);
  const plain = state(HOME_AGENT, { mark: RECEIVING_PLAIN_MARK });
  const inUdp = state(HOME_AGENT, {
    mark: RECEIVING_UDP_MARK,
    encapsulation: { sourcePort: 4500, destinationPort: 4500 },
  });
  t.strictSame(found(inUdp, plain), [plain], "plain and in UDP at one address");
  t.strictSame(found(plain, inUdp), [inUdp]);
  const third = state(ipv6("2001:db8:b::1"));
  t.strictSame(found(third, PRESENT, state(MOVED)), [PRESENT, state(MOVED)], "all of them: nobody knows who is ahead");
  t.end();
});

t.test("others do not", (t) => {
  const others: readonly KernelObject[] = [
    state(MOVED, { spi: 0x1001 }),
    state(MOVED, { aead: { algorithm: "rfc4106(gcm(aes))", key: key(2), icvLength: 16 } }),
    state(MOVED, { aead: { algorithm: "rfc7539esp(chacha20,poly1305)", key: key(1), icvLength: 16 } }),
    state(MOVED, { mark: RECEIVING_PLAIN_MARK }),
    state(MOVED, {}, { reqid: OWNERSHIP.reqidBase + 20 }),
    { ...state(MOVED), transform: { type: "home-address-option", careOfAddress: NODE, wildcard: false } },
    { kind: "sysctl", path: "net/ipv6/conf/all/forwarding", value: "1" },
  ];
  for (const other of others) {
    t.strictSame(found(PRESENT, other), []);
    t.strictSame(found(other, PRESENT), []);
  }
  t.strictSame(found(PRESENT, PRESENT), [], "nobody takes on from himself");
  t.end();
});

t.test("static keys have no mark, no direction and no successor", (t) => {
  const { mark: _, ...unmarked } = PRESENT.transform as AeadState;
  const [here, there] = [NODE, MOVED].map((end): XfrmState => ({ ...state(end), transform: unmarked }));
  if (here === undefined || there === undefined) throw new TypeError("two ends");
  t.strictSame(found(there, here), []);
  t.equal(successionKey(here), undefined);
  t.notOk(mayTakeOn(here, here));
  t.notOk(isSending(unmarked));
  t.end();
});

t.test("what is removed and made again takes on from itself", (t) => {
  t.ok(mayTakeOn(state(NODE, { hideDscp: true }), PRESENT));
  t.equal(successionKey(PRESENT), successionKey(state(MOVED)));
  t.end();
});
