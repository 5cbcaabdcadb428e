/** Gives the IKE daemon what identities are proved with. The daemon forgets all of it when it ends. */
import type { Secret } from "../base/secret.js";
import type { IkeDaemonPort } from "./daemon-port.js";

export interface Credentials {
  /** By the mobile node's identity. */
  readonly psk: ReadonlyMap<string, Secret>;
  readonly eap: ReadonlyMap<string, Secret>;
  readonly certificate?: string;
  readonly privateKey?: Secret;
  readonly authorities: readonly string[];
}

/**
 * Rejects with ViciError. A pre-shared key has the node as its only owner: charon takes every key that one of the two ends owns, so with
 * the home agent as an owner too, each subscriber's key would prove any subscriber's identity (mem_cred.c, shared_filter).
 */
export async function loadCredentials(daemon: IkeDaemonPort, credentials: Credentials): Promise<void> {
  for (const data of credentials.authorities) await daemon.command("load-cert", { type: "X509", flag: "CA", data });
  if (credentials.certificate !== undefined)
    await daemon.command("load-cert", { type: "X509", flag: "NONE", data: credentials.certificate });
  if (credentials.privateKey !== undefined)
    await daemon.command("load-key", { type: "any", data: credentials.privateKey });
  for (const [identity, data] of credentials.psk)
    await daemon.command("load-shared", { id: `dsmipd-psk-${identity}`, type: "IKE", data, owners: [identity] });
  for (const [identity, data] of credentials.eap)
    await daemon.command("load-shared", { id: `dsmipd-eap-${identity}`, type: "EAP", data, owners: [identity] });
}
