/** The version in package.json is for npm; this one is what the daemon says. A unit test keeps them the same. */
export const VERSION = "0.1.0";
