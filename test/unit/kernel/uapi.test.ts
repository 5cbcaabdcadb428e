/** The numbers and layouts of controller/kernel/{xfrm,nft}-*.ts against the C compiler's view of the system's headers. */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import * as nft from "../../../controller/kernel/nftables/constants.js";
import * as xfrm from "../../../controller/kernel/xfrm/constants.js";
import { XFRM_STRUCTS } from "../../../controller/kernel/xfrm/layout.js";
import { repositoryPath } from "../../lib/repository.js";

const NO_COMPILER = spawnSync("cc", ["--version"]).status === 0 ? false : "no C compiler (cc)";

/** What the program prints, a line each. */
function run(source: string): string[] {
  const directory = mkdtempSync(join(tmpdir(), "dsmipd-uapi-"));
  try {
    const program = join(directory, "program");
    execFileSync("cc", ["-Wall", "-Werror", "-o", program, source]);
    return execFileSync(program, { encoding: "utf8" }).trim().split("\n");
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** Name and value of each constant, from headers. */
function valuesInHeaders(headers: readonly string[], names: readonly string[]): Record<string, number> {
  const directory = mkdtempSync(join(tmpdir(), "dsmipd-uapi-"));
  try {
    const source = join(directory, "constants.c");
    const includes = headers.map((header) => `#include <${header}>\n`).join("");
    const prints = names.map((name) => `  printf("${name} %lld\\n", (long long)(${name}));\n`).join("");
    writeFileSync(source, `#include <stdio.h>\n${includes}int main(void) {\n${prints}  return 0;\n}\n`);
    return Object.fromEntries(
      run(source)
        .map((line) => line.split(" "))
        .map(([name, value]) => [name, Number(value)]),
    );
  } finally {
    rmSync(directory, { recursive: true });
  }
}

t.test("XFRM structs lie as the headers say", { skip: NO_COMPILER }, (t) => {
  const ours = Object.entries(XFRM_STRUCTS).flatMap(([struct, fields]) =>
    Object.entries(fields).map(([field, offset]) => `${struct} ${field} ${offset}`),
  );
  t.strictSame(ours.sort(), run(repositoryPath("test/uapi/xfrm_layout.c")).sort());
  t.end();
});

t.test("XFRM numbers are those of the headers", { skip: NO_COMPILER }, (t) => {
  const headers = ["sys/socket.h", "netinet/in.h", "linux/xfrm.h", "linux/udp.h"];
  t.strictSame(valuesInHeaders(headers, Object.keys(xfrm)), { ...xfrm });
  t.end();
});

t.test("nftables numbers are those of the headers", { skip: NO_COMPILER }, (t) => {
  const headers = ["netinet/in.h", "linux/netfilter.h", "linux/netfilter/nf_tables.h"];
  t.strictSame(valuesInHeaders(headers, Object.keys(nft)), { ...nft });
  t.end();
});
