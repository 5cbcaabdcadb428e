/**
 * What two peers agreed on beyond RFC 5555. Without a profile the codec reads and writes only assigned formats; the formats of the
 * two drafts have no numbers of their own and therefore never apply by accident (requirements C-41, C-52, C-53).
 */

/** The 2004 layouts of draft-soliman-v4v6-mipv6-00 §3, told apart from RFC 5555 by the option's Length. */
export interface Soliman2004Profile {
  /** Option type of its IPv4 home address option. */
  readonly homeAddressType: number;
  /** Option type of its IPv4 address acknowledgement option. */
  readonly acknowledgementType: number;
}

export interface CodecProfile {
  /** The option type that carries the IPv4 route optimisation mode of draft-oulai-mext-dsmip-ro-00; absent: no such option. */
  readonly roModeType?: number;
  readonly soliman2004?: Soliman2004Profile;
}

export interface CodecContext {
  readonly profile?: CodecProfile;
}

/** RFC 5555 and what stands in the IANA registry, nothing else. */
export const STANDARD_PROFILE: CodecProfile = {};
/** Route optimisation with the mode in the Experimental option (requirements C-41). */
export const RO_PROFILE: CodecProfile = { roModeType: 18 };
/** The 2004 draft on the type numbers that RFC 5555 uses (requirements C-53). */
export const SOLIMAN_2004_PROFILE: CodecProfile = { soliman2004: { homeAddressType: 29, acknowledgementType: 30 } };
