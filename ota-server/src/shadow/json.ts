// Strict JSON (RFC 8259) for bytes of the world. JSON.parse takes the last of two equal keys and
// gives a prototype to every object; this refuses the one and leaves out the other, and its depth
// is bounded. Tokens are still converted by JSON.parse.

/** What is wrong with a text. */
export type JsonError = 'malformed' | 'too-deep' | 'bad-key';

const SPACE = /[ \t\n\r]*/y;
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
// biome-ignore lint/suspicious/noControlCharactersInRegex: RFC 8259 §7 forbids them in strings.
const STRING = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[\dA-Fa-f]{4}))*"/y;
const WORD = /true|false|null/y;

/** A text's value, objects without prototypes; or the first thing that is wrong with it. */
export function parseJson(
  text: string,
  depthMax: number,
): { readonly value?: unknown; readonly error?: JsonError } {
  const parser = new Parser(text);
  const value = parser.value(depthMax);
  if (parser.error === undefined && parser.isAtEnd()) return { value };
  return { error: parser.error ?? 'malformed' };
}

class Parser {
  error: JsonError | undefined;
  private readonly text: string;
  private offset = 0;

  constructor(text: string) {
    this.text = text;
  }

  isAtEnd(): boolean {
    this.token(SPACE);
    return this.offset === this.text.length;
  }

  value(depthMax: number): unknown {
    this.token(SPACE);
    const first = this.text[this.offset];
    if (first === '{' || first === '[') {
      if (depthMax === 0) return this.fail('too-deep');
      this.offset += 1;
      return first === '{' ? this.object(depthMax - 1) : this.array(depthMax - 1);
    }
    const token = this.token(STRING) ?? this.token(NUMBER) ?? this.token(WORD);
    return token === undefined ? this.fail('malformed') : JSON.parse(token);
  }

  private object(depthMax: number): unknown {
    const members = Object.create(null) as Record<string, unknown>;
    if (this.takes('}')) return members;
    do {
      this.token(SPACE);
      const token = this.token(STRING);
      if (token === undefined || !this.takes(':')) return this.fail('malformed');
      const key = JSON.parse(token) as string;
      if (key === '__proto__' || Object.hasOwn(members, key)) return this.fail('bad-key');
      members[key] = this.value(depthMax);
    } while (this.error === undefined && this.takes(','));
    return this.takes('}') ? members : this.fail('malformed');
  }

  private array(depthMax: number): unknown {
    const elements: unknown[] = [];
    if (this.takes(']')) return elements;
    do elements.push(this.value(depthMax));
    while (this.error === undefined && this.takes(','));
    return this.takes(']') ? elements : this.fail('malformed');
  }

  /** Passes over white space and then over `character`, if that follows. */
  private takes(character: string): boolean {
    this.token(SPACE);
    if (this.text[this.offset] !== character) return false;
    this.offset += 1;
    return true;
  }

  private token(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.offset;
    const [token] = pattern.exec(this.text) ?? [];
    this.offset += token?.length ?? 0;
    return token;
  }

  private fail(error: JsonError): undefined {
    this.error ??= error;
    return undefined;
  }
}
