/** The internet checksum (RFC 1071): the example of its §3, carries at their edge, and odd lengths. */
import t from "tap";
import { fromHex } from "../../../../controller/base/bytes.js";
import { checksum, onesSum } from "../../../../controller/wire/ip/checksum.js";

t.test("the sum of RFC 1071 §3, in the order of the network", (t) => {
  t.equal(onesSum(fromHex("0001f203f4f5f6f7")), 0xddf2);
  t.equal(checksum(fromHex("0001f203f4f5f6f7")), 0x220d);
  t.end();
});

t.test("each carry comes back at the other end, however many there are", (t) => {
  t.equal(onesSum(fromHex("ffff0001")), 1);
  t.equal(onesSum(fromHex("ff000100")), 1, "a sum of 0x10000 and nothing more");
  t.equal(onesSum(fromHex("8000".repeat(4))), 2);
  t.equal(onesSum(fromHex("ffff".repeat(700))), 0xffff);
  t.equal(checksum(fromHex("ffff")), 0);
  t.end();
});

t.test("an odd last octet is the upper one of its word", (t) => {
  t.equal(onesSum(fromHex("000112")), 0x1201);
  t.end();
});
