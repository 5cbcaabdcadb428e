import { Duplex, PassThrough } from "node:stream";
import fc from "fast-check";
import t from "tap";
import { Bus, endMarkers, MarkerReader } from "../../bench/bus.js";

/** A line whose far end is the test. */
function wire(): { bus: Bus; far: PassThrough; written: () => string; line: Duplex } {
  const far = new PassThrough();
  let written = "";
  const line = new Duplex({
    read: () => {},
    write: (chunk: Buffer, _encoding, done) => {
      written += chunk.toString();
      done();
    },
  });
  far.on("data", (chunk: Buffer) => line.push(chunk));
  return { bus: new Bus(line), far, written: () => written, line };
}

t.test("markers are found however the line cuts what arrives, and output is passed on unchanged", async (t) => {
  const parts = fc.array(fc.oneof(fc.constant("\x01"), fc.constant("\x01tok"), fc.constant("tok "), fc.string()), {
    maxLength: 8,
  });
  fc.assert(
    fc.property(parts, fc.array(fc.nat(20), { maxLength: 40 }), (words, cuts) => {
      const output = words.join("");
      fc.pre(!output.includes("\x01tok ")); // a token is random: output does not hold it
      const bytes = Buffer.concat([Buffer.from(output), Buffer.from("\x01tok exit 3\n"), Buffer.from("\x01tok end\n")]);
      const seen: Buffer[] = [];
      const markers: string[] = [];
      const reader = new MarkerReader(
        "tok",
        (chunk) => seen.push(Buffer.from(chunk)),
        (marker) => markers.push(marker),
      );
      let at = 0;
      for (const cut of cuts) {
        reader.push(bytes.subarray(at, at + cut));
        at += cut;
      }
      reader.push(bytes.subarray(at));
      t.strictSame(markers, ["exit 3", "end"]);
      t.equal(Buffer.concat(seen).toString(), output);
    }),
    { numRuns: 200 },
  );
});

t.test("a job: request, output, status and artifacts", async (t) => {
  const { bus, far, written } = wire();
  far.write("boot noise\n\x01ready \n");
  await bus.ready();
  let output = "";
  const result = bus.run({ script: "echo hi", mode: "cell" }, (chunk) => {
    output += chunk.toString();
  });
  const [, verb, token = "", mode, script = ""] = /^(\w+) (\w+) (\w+) (.*)\n$/.exec(written()) ?? [];
  t.strictSame([verb, mode, Buffer.from(script, "base64").toString()], ["job", "cell", "echo hi"]);
  far.write(`hi\n${endMarkers(token, { status: 5, artifacts: Buffer.from("tarball") })}`);
  t.strictSame(await result, { status: 5, artifacts: Buffer.from("tarball") });
  t.equal(output, "hi\n");
  bus.kill();
  bus.halt();
  t.match(written(), /\nkill\nhalt\n$/);
});

t.test("a machine that ends takes its job and all later ones with it", async (t) => {
  const { bus, line } = wire();
  const running = bus.run({ script: "", mode: "cell" }, () => {});
  line.destroy(new Error("power cut"));
  await t.rejects(running, /bench machine ended: power cut/);
  await t.rejects(
    bus.run({ script: "", mode: "cell" }, () => {}),
    /bench machine ended/,
  );
});
