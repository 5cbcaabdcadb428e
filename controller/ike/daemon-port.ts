/** What this folder needs of the connection to the IKE daemon (vici/client.ts). */
import type { ViciSection } from "../vici/message.js";

export interface IkeDaemonPort {
  /** Rejects with ViciError. */
  command(name: string, section?: ViciSection, options?: { readonly timeoutMs?: number }): Promise<ViciSection>;
  stream(
    name: string,
    section: ViciSection,
    event: string,
    options?: { readonly timeoutMs?: number; readonly onMessage?: (message: ViciSection) => void },
  ): Promise<readonly ViciSection[]>;
}
