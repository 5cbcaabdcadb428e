/** ICMP echo (RFC 792), against octets that ping has sent. */
import t from "tap";
import { fromHex, toHex } from "../../../../controller/base/bytes.js";
import { decodeIcmpEcho, encodeIcmpEcho } from "../../../../controller/wire/ip/icmp-echo.js";

t.test("a request and its reply", (t) => {
  const data = fromHex("0102");
  const request = encodeIcmpEcho({ isReply: false, identifier: 0x1234, sequence: 7, data });
  t.equal(toHex(request), "0800e4c2123400070102");
  t.match(decodeIcmpEcho(request), { ok: true, value: { isReply: false, identifier: 0x1234, sequence: 7, data } });
  const reply = encodeIcmpEcho({ isReply: true, identifier: 0x1234, sequence: 7, data });
  t.equal(toHex(reply), "0000ecc2123400070102");
  t.match(decodeIcmpEcho(reply), { ok: true, value: { isReply: true } });
  t.end();
});

t.test("what is none", (t) => {
  for (const octets of ["", "0800", "0800e4c21234", "0800e4c3123400070102", "0300fcff00000000"])
    t.match(decodeIcmpEcho(fromHex(octets)), { ok: false }, octets);
  t.end();
});
