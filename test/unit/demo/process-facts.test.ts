import t from "tap";
import { parseInternetTable, parsePacketTable, parseStat, readProcess } from "../../demo/process-facts.js";

t.test("state and CPU time, whatever the command is called", (test) => {
  const stat = "37 (node (x) y) T 1 37 37 0 -1 4194304 20117 0 3 0 141 29 0 0 20 0 11 0 1234 1 2 3";
  test.strictSame(parseStat(stat), { state: "T", cpuTicks: 170 });
  test.match(readProcess(process.pid), { state: /^[RS]$/, cpuTicks: Number });
  test.throws(() => readProcess(2 ** 30), { code: "ENOENT" });
  test.end();
});

t.test("what waits in UDP and raw sockets", (test) => {
  const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
 4161: 00000000:1060 00000000:0000 07 00000000:00000C00 00:00000000 00000000     0        0 14125 2 00000000a11e6f2c 0
 4162: 00000000:1388 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 14126 2 00000000a11e6f2d 0
`;
  test.strictSame(parseInternetTable(table), [
    { inode: 14125, queued: 3072 },
    { inode: 14126, queued: 0 },
  ]);
  test.end();
});

t.test("what waits in packet sockets", (test) => {
  const table = `sk               RefCnt Type Proto  Iface R Rmem   User   Inode
00000000b1f0f2c9 3      2    0003   2     1 1536   0      15001
`;
  test.strictSame(parsePacketTable(table), [{ inode: 15001, queued: 1536 }]);
  test.end();
});
