// What the codes of `readManifest` mean, for people.

/** By code. */
export const MESSAGES: Readonly<Record<string, string>> = {
  truncated: 'the envelope is cut off',
  malformed: 'not a SUIT envelope in deterministic CBOR',
  'too-long': 'more bytes than an envelope may have',
  unsigned: 'the envelope carries no signature',
  'wrong-digest': 'the manifest was changed after it was signed',
  'wrong-signature': 'no trusted key made the signature',
  unsupported: 'a command, parameter, member or algorithm outside of the profile',
  'wrong-vendor': 'for another vendor',
  'wrong-class': 'for another class of devices',
  'wrong-slot': 'no image for one of the two slots',
  'wrong-version': 'not for devices with this running version',
  expired: 'the release has expired',
  aborted: 'the manifest refuses every device',
  'old-sequence': 'older than what the device has had',
  'too-large': 'the image does not fit into the slot',
};

/** A sentence for any code. */
export function messageOf(code: string): string {
  return MESSAGES[code] ?? code;
}
