/** Kernel errors: numbers, names, the kernel's own words and the questions that callers ask. */
import t from "tap";
import { fromHex } from "../../../controller/base/bytes.js";
import { DecodeError } from "../../../controller/base/errors.js";
import { AttributeWriter } from "../../../controller/netlink/attribute.js";
import { NLM_F_ACK_TLVS, NLMSG_DONE, NLMSG_ERROR } from "../../../controller/netlink/constants.js";
import {
  EADDRNOTAVAIL,
  EAGAIN,
  EBUSY,
  EEXIST,
  EINTR,
  EINVAL,
  ENOBUFS,
  ENODEV,
  ENOENT,
  ENOMEM,
  ENXIO,
  EOPNOTSUPP,
  EPERM,
  ESRCH,
  ETIMEDOUT,
  errnoName,
} from "../../../controller/netlink/errno.js";
import { decodeError, KernelError } from "../../../controller/netlink/errors.js";
import { splitMessages } from "../../../controller/netlink/message.js";
import { errorMessage } from "../../lib/netlink-fake.js";

const REQUEST = { type: 24, flags: 0x605, sequence: 3, port: 0, body: fromHex("0a800000fe9b000100000000") };

t.test("an answer without an errno is an acknowledgement", (t) => {
  const [ack] = splitMessages(errorMessage(REQUEST, {}));
  t.equal(ack && decodeError(ack), undefined);
  t.equal(decodeError({ type: NLMSG_DONE, flags: 2, body: fromHex("00000000") }), undefined);
  t.equal(
    decodeError({ type: NLMSG_DONE, flags: 2, body: new Uint8Array(0) }),
    undefined,
    "old kernels end a dump with nothing",
  );
  t.end();
});

t.test("errno, text and offset of a capped answer", (t) => {
  const [message] = splitMessages(errorMessage(REQUEST, { errno: EINVAL, text: "Invalid prefix", offset: 32 }));
  const error = message && decodeError(message);
  t.match(error, {
    errno: EINVAL,
    errnoName: "EINVAL",
    code: "MIP_KERNEL",
    details: { text: "Invalid prefix", offset: 32 },
  });
  t.equal(error?.message, "Invalid prefix (EINVAL), at octet 32 of the request");
  t.equal(
    error?.about("ip -6 route add 2001:db8::/32").message,
    "ip -6 route add 2001:db8::/32: Invalid prefix (EINVAL), at octet 32 of the request",
  );
  t.end();
});

t.test("an answer that repeats the request, and one at the end of a dump", (t) => {
  const uncapped = new AttributeWriter()
    .raw(fromHex("eaffffff")) // -22
    .raw(fromHex("1c000000180005060300000000000000"))
    .raw(REQUEST.body)
    .string(1, "no such thing")
    .u32(5, 9)
    .u32(6, 44)
    .finish();
  t.equal(
    decodeError({ type: NLMSG_ERROR, flags: NLM_F_ACK_TLVS, body: uncapped })?.message,
    "no such thing (EINVAL), attribute 9 is missing in the nest at octet 44",
  );
  const done = new AttributeWriter().raw(fromHex("f0ffffff")).string(1, "try later").finish();
  t.equal(decodeError({ type: NLMSG_DONE, flags: NLM_F_ACK_TLVS, body: done })?.message, "try later (EBUSY)");
  t.throws(() => decodeError({ type: NLMSG_ERROR, flags: 0, body: fromHex("00") }), DecodeError);
  t.end();
});

t.test("the questions depend on the number alone, whatever the text says", (t) => {
  const lie = { text: "File exists: No such file, try again" };
  const ask = (errno: number) => {
    const { isExists, isNotFound, isRetryable } = new KernelError(errno, lie);
    return { isExists, isNotFound, isRetryable };
  };
  t.strictSame(ask(EEXIST), { isExists: true, isNotFound: false, isRetryable: false });
  for (const errno of [ENOENT, ESRCH, ENXIO, ENODEV, EADDRNOTAVAIL]) {
    t.strictSame(ask(errno), { isExists: false, isNotFound: true, isRetryable: false }, errnoName(errno));
  }
  for (const errno of [EINTR, EAGAIN, ENOMEM, EBUSY, ENOBUFS, ETIMEDOUT]) {
    t.strictSame(ask(errno), { isExists: false, isNotFound: false, isRetryable: true }, errnoName(errno));
  }
  for (const errno of [EPERM, EINVAL, EOPNOTSUPP]) {
    t.strictSame(ask(errno), { isExists: false, isNotFound: false, isRetryable: false }, errnoName(errno));
  }
  t.end();
});

t.test("numbers without a name", (t) => {
  t.equal(errnoName(524), "errno 524");
  t.equal(errnoName(41), "errno 41");
  t.equal(errnoName(105), "ENOBUFS");
  t.end();
});
