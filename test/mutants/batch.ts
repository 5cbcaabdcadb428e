/** Several test files in one process, which loads what they share once: batch.js FILE … (compiled, absolute). */
import { pathToFileURL } from "node:url";

for (const file of process.argv.slice(2)) await import(pathToFileURL(file).href);
