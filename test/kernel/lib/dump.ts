/** A namespace in words, for the artifacts of a failed test. */
import { spawnSync } from "node:child_process";
import type { Namespace } from "./namespace.js";

const QUESTIONS: readonly string[] = [
  "ip -d -s link",
  "ip address",
  "ip rule",
  "ip -6 rule",
  "ip -d route show table all",
  "ip -d -6 route show table all",
  "ip neighbour",
  "ip neighbour show proxy",
  "ip fou show",
  "ip -s xfrm state",
  "ip -s xfrm policy",
  "cat /proc/net/xfrm_stat",
  "nft list ruleset",
  "ss -aneimpuw",
  "nstat -as",
];

/** Every question with its answer; a question that fails is answered by its error. */
export function describe(namespace: Namespace): string {
  return QUESTIONS.map((question) => {
    const [program, ...args] = namespace.inside(question.split(" ")) as [string, ...string[]];
    const { stdout, stderr } = spawnSync(program, args, { encoding: "utf8", timeout: 20_000 });
    return `### ${question}\n${stdout}${stderr}`;
  }).join("\n");
}
