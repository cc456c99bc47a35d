// What the owner of a server can mend: its message is all that has to be said.

export class OtaError extends Error {
  override readonly name = 'OtaError';
}
