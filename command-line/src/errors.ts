// How a command ends badly without a stack trace. What is none of these is a bug, and keeps its own.

/** What a user can mend, in one line or a few: `flotilla: MESSAGE`. */
export class CommandError extends Error {
  override readonly name = 'CommandError';
  /** Of the process. */
  readonly exitCode: number;

  constructor(message: string, exitCode = 1) {
    super(message);
    this.exitCode = exitCode;
  }
}

/** Arguments that are wrong, each mistake in a line: told with where the help is, exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** Mistakes in a file of the user's, each in a line that says where: told as it is, exit code 2. */
export class InputError extends Error {
  override readonly name = 'InputError';
}
