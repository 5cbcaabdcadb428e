import t from "tap";
import { capturedBuToBaMs, type SignallingFrame } from "../../demo/capture.js";
import { NODES } from "../../demo/topology.js";

const [mn1, mn2] = NODES;
const frame = (
  at: number,
  message: SignallingFrame["message"],
  node: SignallingFrame["node"] = mn1,
): SignallingFrame => ({
  node,
  message,
  format: "direct",
  at,
});

t.test("from the last update before an acknowledgement to that one", (test) => {
  const frames = [
    frame(100, "update"),
    frame(150, "update"),
    frame(155, "update", mn2),
    frame(160, "acknowledgement"),
    frame(900, "acknowledgement"),
  ];
  test.equal(capturedBuToBaMs(frames, mn1, 0), 10);
  test.equal(capturedBuToBaMs(frames, mn2, 0), undefined, "not answered yet");
  test.equal(capturedBuToBaMs(frames, mn1, 151), undefined, "the update was before");
  test.equal(capturedBuToBaMs([], mn1, 0), undefined);
  test.end();
});
