import { measureForwarding } from "./forwarding.js";
import { measureRegistration } from "./registration.js";
if (process.argv.includes("reg")) {
  console.log(JSON.stringify(await measureRegistration({ nodes: Number(process.env["N"] ?? 1000), repetitions: 3, handovers: 200 }), undefined, 1));
} else {
const r = measureForwarding({ bindings: Number(process.env["N"] ?? 10000), rounds: 20, sliceMs: 20 }, (x) => console.log(JSON.stringify(x)));
console.log(JSON.stringify(r.installs));
}
