/** What the IKE daemon says of its associations (VICI `list-sas`). */
import { isSection, type ViciSection } from "../vici/message.js";
import type { IkeDaemonPort } from "./daemon-port.js";

/** Of one connection, or of all. Rejects with ViciError. */
export async function listSas(daemon: IkeDaemonPort, connection?: string): Promise<readonly ViciSection[]> {
  const events = await daemon.stream("list-sas", connection === undefined ? {} : { ike: connection }, "list-sa");
  return events.flatMap((event) => Object.values(event).filter(isSection));
}

/** The children of these IKE SAs. */
export function childrenOf(sas: readonly ViciSection[]): readonly ViciSection[] {
  return sas.flatMap((sa) => {
    const children = sa["child-sas"];
    return children !== undefined && isSection(children) ? Object.values(children).filter(isSection) : [];
  });
}

/** The SPI under which a child receives or sends. */
export function spiOf(child: ViciSection, direction: "receive" | "send"): number | undefined {
  const text = child[direction === "receive" ? "spi-in" : "spi-out"];
  return typeof text === "string" ? Number.parseInt(text, 16) : undefined;
}
