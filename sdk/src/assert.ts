// Assertions catch our own bugs; mistakes of the world are codes and events.

/** Throws when `condition` is false: a bug in the caller, never bad input. */
export function assert(condition: boolean, message: string): void {
  if (!condition) throw new Error(`assertion failed: ${message}`);
}
