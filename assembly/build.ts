// Which of the two builds of the filter this is: docs/adr/0009-two-builds-of-the-filter.md.

/**
 * Whether response bodies pass through the filter. asc is told so by `--use WITH_RESPONSE_BODIES=1` when it
 * compiles assembly/usage.ts as an entry too; without that callback no chunk of a response costs anything.
 */
export const READS_RESPONSES: bool = isDefined(WITH_RESPONSE_BODIES);
