// Keeping secrets out of what is printed.

/** A secret shorter than this is left: masking it everywhere would mask half of the text. */
const SECRET_LENGTH_MIN = 4;

/** The text with every occurrence of a secret masked, longer secrets first. */
export function redact(text: string, secrets: readonly string[]): string {
  return [...secrets]
    .filter((secret) => secret.length >= SECRET_LENGTH_MIN)
    .sort((a, b) => b.length - a.length)
    .reduce((redacted, secret) => redacted.replaceAll(secret, '***'), text);
}
