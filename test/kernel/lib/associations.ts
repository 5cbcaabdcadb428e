/** The security associations that dsmipd has made in a node's kernel, as `ip xfrm state` tells them. */
import { OWNERSHIP } from "../../../controller/plan/objects/objects.js";
import type { Namespace } from "./namespace.js";

export interface KernelAssociation {
  readonly source: string;
  readonly destination: string;
  readonly spi: number;
  readonly mode: string;
  /** "4500>61000" when it is in UDP. */
  readonly udp: string | undefined;
  /** Hexadecimal, of AES-GCM with its salt. */
  readonly key: string | undefined;
}

const REQID_BLOCK = 24;

/** Those of the IKE daemon are left out. */
export function kernelAssociations(namespace: Namespace): readonly KernelAssociation[] {
  const blocks = namespace.run("ip", "xfrm", "state").split(/^(?=src )/m);
  const ours = blocks.filter((text) => {
    const reqid = Number(/reqid (\d+)/.exec(text)?.[1] ?? 0);
    return reqid >> REQID_BLOCK === OWNERSHIP.reqidBase >> REQID_BLOCK && text.includes("proto esp");
  });
  return ours.map((text) => {
    const [, source = "", destination = ""] = /^src (\S+) dst (\S+)/.exec(text) ?? [];
    const udp = /encap type espinudp sport (\d+) dport (\d+)/.exec(text);
    return {
      ...{ source, destination },
      spi: Number.parseInt(/spi 0x([0-9a-f]+)/.exec(text)?.[1] ?? "", 16),
      mode: /mode (\w+)/.exec(text)?.[1] ?? "",
      udp: udp === null ? undefined : `${udp[1]}>${udp[2]}`,
      key: /aead \S+ 0x([0-9a-f]+)/.exec(text)?.[1],
    };
  });
}
