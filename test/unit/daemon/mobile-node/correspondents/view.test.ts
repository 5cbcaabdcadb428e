/** What people see of a node's correspondents. */
import t from "tap";
import { correspondentDocuments } from "../../../../../controller/daemon/mobile-node/correspondents/view.js";
import { BindingErrorStatus } from "../../../../../controller/wire/mip6/registry.js";
import { correspondentDocument } from "../../../../../schemas/control.js";
import { CN, COA, HOA, Node } from "../../../protocol/mip6/mobile-node/correspondents/node.js";

const shown = (node: Node) => {
  const all = correspondentDocuments(node.state, node.now).map((one) => correspondentDocument.parse(one));
  if (all.length !== 1) throw new Error(`${all.length} documents`);
  return all[0];
};

t.test("bound, left with a way in, and paused with the reason, whatever is left of the path", (t) => {
  const node = new Node().bind();
  t.match(shown(node), { state: "bound", direct: true, careOfAddress: COA, remainingSeconds: 420, reason: null });
  const idle = new Node().bind();
  idle.took();
  idle.give({ kind: "forget", correspondent: CN }).acknowledge(idle.update());
  t.match(shown(idle), { state: "left", direct: false, acceptedFrom: [COA], remainingSeconds: null, reason: null });
  for (let i = 0; i < 3; i++) {
    const status = BindingErrorStatus.unknownBinding;
    node.hears({ type: "binding-error", status, homeAddress: HOA, options: [] }, { destination: COA });
    if (i < 2) node.wait(1).passTests().acknowledge(node.update());
  }
  const paused = {
    state: "paused",
    direct: false,
    acceptedFrom: [COA],
    remainingSeconds: 60,
    reason: "binding errors",
  };
  t.match(shown(node), paused);
  t.end();
});
