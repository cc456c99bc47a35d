/** Counters of everything bounded or refused in a shadow; each only grows. */
export class ShadowCounters {
  /** Desired values that handlers put into force. */
  applied = 0;
  /** Handlers and merge functions that threw or returned what is no data. */
  faults = 0;
  /** Keys that both sides had changed. */
  conflicts = 0;
  /** Documents that were malformed, too large or of wrong types. */
  refused = 0;
  /** Deltas of an older version than is known. */
  stale = 0;
  /** Answers of `rejected`, but for 404 to a get. */
  rejected = 0;
  /** Requests without an answer. */
  timeouts = 0;
  /** Series of failures that were given up for a rest. */
  rests = 0;
  /** Values not taken: no data, too large, or of too many keys. */
  overflows = 0;
}
