/** The node's machine and the correspondent's speak to each other in octets, with the authenticators that both ends really make. */
import t from "tap";
import type { Ipv6Address } from "../../../../../../controller/base/ip.js";
import {
  coveredOctets,
  isAuthorizedBy,
  withAuthenticator,
} from "../../../../../../controller/daemon/signalling/binding-authorization.js";
import type { CorrespondentNodeEffect } from "../../../../../../controller/protocol/mip6/correspondent-node/inputs.js";
import { careOfAddressOf } from "../../../../../../controller/protocol/mip6/correspondent-node/update.js";
import type { Arrival } from "../../../../../../controller/protocol/mip6/inputs.js";
import type { CorrespondentSendEffect } from "../../../../../../controller/protocol/mip6/mobile-node/correspondents/inputs.js";
import { bindingManagementKey } from "../../../../../../controller/protocol/mip6/return-routability/tokens.js";
import {
  decodeMobilityMessage,
  encodeMobilityMessage,
} from "../../../../../../controller/wire/mip6/messages/mobility-header.js";
import { CorrespondentWorld, SELF } from "../../../../../lib/correspondent-node.js";
import { COA, COA2, HOA, Node } from "./node.js";

class Talk {
  readonly node = new Node();
  readonly world = new CorrespondentWorld();
  /** Statuses of acknowledgements, in order. */
  readonly statuses: number[] = [];

  /** Until neither says anything. */
  run(): this {
    for (let turns = 0; turns < 20; turns++) {
      const sent = this.node.took();
      if (sent.length === 0) return this;
      for (const one of sent) this.#toCorrespondent(one);
    }
    throw new Error("they talk without end");
  }

  pass(duration: number): this {
    this.world.pass(duration);
    this.node.wait(duration);
    return this;
  }

  #toCorrespondent({ message, source, destination, departure, authorization }: CorrespondentSendEffect): void {
    if (destination !== SELF) throw new Error(destination);
    const key = authorization && bindingManagementKey(authorization.tokens.home, authorization.tokens.careOf);
    const careOf = authorization?.careOf ?? source;
    const authorized = key === undefined ? message : withAuthenticator(message, key, { careOf, correspondent: SELF });
    const octets = encodeMobilityMessage(authorized);
    const option = departure.type === "native-home-address-option" ? { homeAddressOptionCareOf: departure.careOf } : {};
    const arrival: Arrival = {
      path: { type: "native", device: "eth0", ...option },
      source,
      destination,
      protection: "none",
    };
    const decoded = decodeMobilityMessage(octets);
    if (!decoded.ok) throw decoded.error;
    const heard = decoded.value;
    if (heard.type === "binding-update") {
      const covered = coveredOctets(octets, { careOf: careOfAddressOf(heard, arrival), correspondent: SELF });
      this.#answer(this.world.give({ kind: "update", arrival, message: heard, ...(covered && { covered }) }));
    } else if (heard.type === "home-test-init" || heard.type === "care-of-test-init")
      this.#answer(this.world.give({ kind: "test-init", arrival, message: heard }));
    else throw new Error(heard.type);
  }

  #answer(effects: readonly CorrespondentNodeEffect[]): void {
    for (const effect of effects) {
      if (effect.kind !== "send") continue;
      const { message, destination, departure, authorization } = effect;
      const made =
        authorization === undefined
          ? message
          : withAuthenticator(message, authorization.keys, { careOf: authorization.careOf, correspondent: SELF });
      const octets = encodeMobilityMessage(made);
      const decoded = decodeMobilityMessage(octets);
      if (!decoded.ok) throw decoded.error;
      if (decoded.value.type === "binding-acknowledgement") this.statuses.push(decoded.value.status);
      const routed = departure.type === "native-routed" ? { routingHeaderHomeAddress: HOA } : {};
      this.node.hears(decoded.value, {
        source: SELF,
        destination: destination as Ipv6Address,
        throughHomeAgent: destination === HOA && departure.type !== "native-routed",
        path: { type: "native", device: "up0", ...routed },
        authorized: (tokens, careOf) =>
          isAuthorizedBy(octets, bindingManagementKey(tokens.home, tokens.careOf), { careOf, correspondent: SELF }),
      });
    }
  }
}

t.test("F6275-5.2.5-02 F6275-11.7.3-01: bind, renew, move, take back: each end accepts what the other makes", (t) => {
  const talk = new Talk();
  const { node } = talk;
  node.at({ kind: "away", careOf: COA }).demand(SELF);
  talk.run();
  t.match(node.path, { stage: "bound", careOf: COA });
  talk.pass(180).run();
  t.match(node.path, { stage: "bound", careOf: COA });
  talk.pass(20);
  node.at({ kind: "away", careOf: COA2 });
  talk.run();
  t.match(node.path, { stage: "bound", careOf: COA2, former: [COA] });
  talk.pass(5);
  node.at({ kind: "home" });
  talk.run();
  t.strictSame(talk.statuses, [0, 0, 0, 0]);
  talk.pass(5);
  t.equal(node.path, undefined);
  t.equal(node.state.entries.size, 0);
  t.end();
});

t.test("a correspondent that has forgotten its nonces is answered with new tests", (t) => {
  const talk = new Talk();
  const { node } = talk;
  node.at({ kind: "away", careOf: COA }).demand(SELF);
  talk.run();
  talk.world.pass(300);
  node.wait(100).took();
  node.at({ kind: "away", careOf: COA2 });
  talk.run();
  t.strictSame(talk.statuses, [0, 136, 0]);
  t.match(node.path, { stage: "bound", careOf: COA2 });
  t.end();
});
