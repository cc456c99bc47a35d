// Strings in fields of fixed size, padded with zeros (C's char[n]), as ESP-IDF's structures hold
// them. ASCII only: a file's text ends up on a terminal, where other bytes could do things.

const NOT_PRINTABLE = /[^ -~]/g;

/** One character per byte up to the first zero, whatever they are: hostile until checked. */
export function readFixedString(bytes: Uint8Array, start: number, size: number): string {
  let text = '';
  for (let offset = start; offset < start + size && bytes[offset] !== 0; offset++) {
    text += String.fromCharCode(bytes[offset] as number);
  }
  return text;
}

/** The text with `?` for what is not printable ASCII. */
export function printable(text: string): string {
  return text.replace(NOT_PRINTABLE, '?');
}

/** Writes into a field that is all zeros; `fixedStringMistakes` says whether `text` fits. */
export function writeFixedString(target: Uint8Array, start: number, text: string): void {
  for (let index = 0; index < text.length; index++) target[start + index] = text.charCodeAt(index);
}

/** Why a field of `size` bytes, its closing zero included, cannot hold `text`. */
export function fixedStringMistakes(name: string, text: string, size: number): string[] {
  return [
    ...(printable(text) === text ? [] : [`${name}: expected printable ASCII`]),
    ...(text.length < size
      ? []
      : [`${name}: expected at most ${size - 1} characters, got ${text.length}`]),
  ];
}
