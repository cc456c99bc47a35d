// How a command ends badly without a stack trace.

/** What a user can mend: one line, and exit code 1. */
export class CommandError extends Error {
  override readonly name = 'CommandError';
}

/** Arguments that do not fit together: one line, and exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}
