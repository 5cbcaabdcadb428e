/** The credential file: pre-shared keys and EAP passwords by IKE identity, the same format on both sides; mode 0600. */
import { z } from "zod";
import { ikeIdentity } from "./security.js";

const secretText = z.string().min(8, { error: "at least 8 characters are wanted" });

export const credentialEntry = z
  .strictObject({
    identity: ikeIdentity.describe("The mobile node's identity."),
    psk: secretText.optional().describe("Pre-shared key of this node and the home agent."),
    eapPassword: secretText.optional().describe("Password of this node for EAP-MSCHAPv2."),
  })
  .refine((entry) => entry.psk !== undefined || entry.eapPassword !== undefined, {
    error: "psk or eapPassword is wanted",
  });

export const credentialFile = z.strictObject({ credentials: z.array(credentialEntry).min(1) });

export type CredentialEntry = z.output<typeof credentialEntry>;
