/** What happens to a mobile node beside its kernel: networks, time, answers of all kinds, people. */
import fc from "fast-check";
import { accepted4, type Chart, HOME_ADDRESS, nat, type Update } from "../unit/protocol/mip6/mobile-node/chart.js";

const places = fc.constantFrom(
  {},
  { eth0: ["2001:db8:a::10/64"] },
  { eth0: ["203.0.113.10/24"] },
  { eth0: ["2001:db8:a::10/64", "203.0.113.10/24"] },
  { eth0: ["2001:db8:a::10/64 deprecated"], eth1: ["203.0.113.10/24"] },
  { eth0: ["2001:db8:a::10/64 deprecated"], eth1: ["2001:db8:b::10/64"] },
  { eth0: ["2001:db8:a::10/64"], eth1: ["2001:db8:b::10/64 deprecated"] },
  { eth0: ["down", "2001:db8:a::10/64"] },
  { eth1: ["2001:db8:1::aaaa/64"] },
  { eth0: ["2001:db8:a::10/64"], eth1: ["2001:db8:1::aaaa/64 deprecated"] },
);
export const nodeAct: fc.Arbitrary<(chart: Chart) => void> = fc.oneof(
  { weight: 4, arbitrary: places.map((links) => (chart: Chart) => void chart.sees(links)) },
  {
    weight: 4,
    arbitrary: fc
      .oneof(fc.double({ min: 0, max: 3, noNaN: true }), fc.nat(70))
      .map((s) => (chart: Chart) => void chart.wait(s)),
  },
  { weight: 1, arbitrary: fc.constantFrom(700, 5000).map((s) => (chart: Chart) => void chart.wait(s)) },
  {
    weight: 6,
    arbitrary: fc
      .record({
        back: fc.constantFrom(0, 0, 0, 0, 1, 2, 3),
        status: fc.constantFrom(0, 0, 0, 0, 0, 0, 1, 128, 129, 133, 135, 144, 200),
        lifetimeUnits: fc.constantFrom(20, 20, 20, 20, 0, 1, 150, 65535),
        sequence: fc.oneof({ weight: 9, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: fc.nat(65535) }),
        options: fc.constantFrom([], [accepted4], [accepted4, nat(0)], [accepted4, nat(20)], [nat(0xffffffff, true)]),
      })
      .map(({ back, sequence, ...rest }) => (chart: Chart) => {
        const sends = chart.effects.filter((effect) => effect.kind === "send") as Update[];
        const update = sends.at(-1 - back);
        if (update !== undefined) chart.answer(update, sequence === undefined ? rest : { ...rest, sequence });
      }),
  },
  { weight: 1, arbitrary: fc.constant((chart: Chart) => void chart.give({ kind: "refresh" })) },
  {
    weight: 1,
    arbitrary: fc.constant(
      (chart: Chart) => void chart.hears({ type: "binding-error", status: 1, homeAddress: HOME_ADDRESS, options: [] }),
    ),
  },
);
