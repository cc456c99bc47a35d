// The strict JSON reader against JSON.parse, which accepts a little more.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseJson } from '../../src/shadow/json.ts';

const DEPTH_MAX = 10;

function parsedByOracle(text: string): unknown {
  try {
    return { value: JSON.parse(JSON.stringify(JSON.parse(text))) };
  } catch {
    return { error: 'malformed' };
  }
}

/** With prototypes, for comparing. */
function read(text: string): unknown {
  const { error, value } = parseJson(text, DEPTH_MAX);
  return error === undefined ? { value: JSON.parse(JSON.stringify(value)) } : { error };
}

describe('JSON', () => {
  test('any value is read as JSON.parse reads it', () => {
    const space = fc.constantFrom(0, 2, '\t', '\r\n');
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 4 }), space, (value, indent) => {
        const text = JSON.stringify(value, undefined, indent).replaceAll('"__proto__":', '"_":');
        expect(read(` ${text}\n`)).toEqual(parsedByOracle(text));
      }),
    );
  });

  test('every truncated prefix and every changed character: refused where JSON.parse refuses', () => {
    const text = '{"a":[1,-0.5e+3,true],"b":{"c":null,"d":"x\\u00e9\\n\\"é"},"e":[]}';
    for (let end = 0; end < text.length; end += 1) {
      expect(read(text.slice(0, end)), text.slice(0, end)).toEqual({ error: 'malformed' });
      for (const character of '"\\{}[],:0e-. \u0007x') {
        const changed = text.slice(0, end) + character + text.slice(end + 1);
        const found = read(changed);
        if ((found as { error?: string }).error === 'bad-key') continue;
        expect(found, changed).toEqual(parsedByOracle(changed));
      }
    }
  });

  test.each([
    ['{"a":1,"a":2}', 'bad-key'],
    ['{"a":1,"\\u0061":2}', 'bad-key'],
    ['{"__proto__":{}}', 'bad-key'],
    ['{"a":{"__proto__":1}}', 'bad-key'],
    [`${'['.repeat(11)}${']'.repeat(11)}`, 'too-deep'],
    ['['.repeat(100_000), 'too-deep'],
    ['', 'malformed'],
    ['01', 'malformed'],
    ['1 2', 'malformed'],
    ["{'a':1}", 'malformed'],
    ['NaN', 'malformed'],
    ['\ufeff{}', 'malformed'],
  ])('%s is %s', (text, error) => {
    expect(parseJson(text, DEPTH_MAX)).toEqual({ error });
  });

  test('objects have no prototype', () => {
    const { value } = parseJson('{"toString":1,"a":{}}', DEPTH_MAX);
    expect(Object.getPrototypeOf(value)).toBeNull();
    expect(Object.getPrototypeOf((value as { a: object }).a)).toBeNull();
  });
});
