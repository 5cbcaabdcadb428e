/** Clocks and limits of route optimisation at the mobile node: those of RFC 6275 §12, and our own beside them. */
import { seconds } from "../../../../base/time.js";
import { RETURN_ROUTABILITY_TIMERS } from "../../return-routability/timers.js";

const { token, binding } = RETURN_ROUTABILITY_TIMERS;

/** Asked for in updates. */
export const BINDING_LIFETIME = binding.default;

/**
 * From the older token of a binding to the next procedure. A node that moves needs a home token that still holds, so that it has nothing to
 * wait for but the care-of test; the half minute that is left is for retransmissions.
 */
export const RENEW_AFTER = seconds(token.default - 30);

/** Part of a granted lifetime after which a binding is renewed, where that comes first. */
export const RENEW_FRACTION = 0.75;

/** A token of this age is not used any more: what is made with it is still to arrive. */
export const TOKEN_USABLE = seconds(token.default - 5);

/** After a failure payload goes by way of the home agent for so long, doubling from the first to the second with each failure. */
export const FAILURE_PAUSE_FIRST = seconds(60);
export const FAILURE_PAUSE_MAX = seconds(3600);
/** The same for a correspondent that does not know mobility messages (RFC 6275 §11.3.5). */
export const UNSUPPORTED_PAUSE = seconds(3600);
/** The same for one that no policy allows, or for which there is no room. */
export const REFUSED_PAUSE = seconds(300);
export const FULL_PAUSE = seconds(30);
/** A binding that has held for so long is as good as a first one: earlier failures count no more. */
export const CURED = seconds(60);

/** Updates with lifetime 0 until the binding is left to end by itself; with the first one. */
export const FAREWELLS = 3;
/** The same of a node that ends, which has its home agent to take leave of, too: 1 + 2 s. */
export const LAST_FAREWELLS = 2;
/** The longest grace time of its ways in. */
export const LAST_GRACE = seconds(3);
/** How long a first question is remembered, beyond the minimum age. */
export const CANDIDATE_MEMORY = seconds(60);
/**
 * Who comes of age within so long is asked about together: each time the policy is renewed all sockets look for their way anew, and a scanner
 * can make the machine send to many.
 */
export const ASKED_TOGETHER = seconds(0.25);
/** Between two looks at what direct paths carry: a quarter of the idle time, between these. */
export const USAGE_LOOK = { least: seconds(1), most: seconds(30) } as const;

/** What is remembered at the same time of correspondents without a direct path; the oldest makes room. */
export const REMEMBERED = 256;
/** Cookies of one test that may still come back. */
export const COOKIES = 4;
/** Updates to one correspondent that may still be answered. */
export const OUTSTANDING = 8;
/** Messages of one type to one correspondent within a second (RFC 6275 §11.8). */
export const MESSAGES_PER_SECOND = 3;
