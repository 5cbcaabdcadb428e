/** A program: prints how many times slower this machine is than its kind ($DSMIPD_SLOW) should be, for $DSMIPD_LOAD. */
import { load } from "./yardstick.js";

console.log(load(Number(process.env["DSMIPD_SLOW"] ?? "1")).toFixed(1));
