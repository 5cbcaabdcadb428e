/** `test/bench/run`: the command line of the bench. */
import { parseArgs } from "node:util";
import { jobScript } from "./job.js";
import { bootUm } from "./um.js";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { open: { type: "boolean", default: false }, timeout: { type: "string", default: "600" } },
});

const machine = await bootUm();
const timer = setTimeout(() => machine.bus.kill(), Number(values.timeout) * 1000);
const result = await machine.bus.run({ cell: !values.open, script: jobScript(positionals, machine) }, (chunk) => process.stdout.write(chunk));
clearTimeout(timer);
machine.bus.halt();
await machine.ended;
process.exitCode = result.status;
