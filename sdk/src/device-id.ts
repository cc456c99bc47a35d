// What a device may be called: the same text stands in topics, in SenML names and as client id.

/** Longest id, in characters. */
export const DEVICE_ID_LENGTH_MAX = 64;

/** True for 1-64 characters of A-Z a-z 0-9 - . _ : that begin with a letter or digit. */
export function isDeviceId(text: string): boolean {
  return text.length <= DEVICE_ID_LENGTH_MAX && /^[A-Za-z0-9][A-Za-z0-9._:-]*$/.test(text);
}
