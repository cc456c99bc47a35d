import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { redact } from '../../src/report/redact.ts';

describe('redact', () => {
  it('leaves no secret of four characters or more', () => {
    const secret = fc.string({
      unit: fc.constantFrom('a', 'b', '$', '&'),
      minLength: 4,
      maxLength: 8,
    });
    const text = fc.string({ unit: fc.constantFrom('a', 'b', '$', '&', ' '), maxLength: 30 });
    fc.assert(
      fc.property(text, text, fc.array(secret, { minLength: 1 }), (before, after, secrets) => {
        const shown = redact(before + secrets.join(' ') + after, secrets);
        for (const one of secrets) expect(shown).not.toContain(one);
      }),
    );
  });

  it('masks the longer secret first, and leaves what is too short to hide', () => {
    expect(redact('hunter2hunter hunter2', ['hunter2', 'hunter2hunter', 'hu', ''])).toBe('*** ***');
    expect(redact('nothing', ['hunter2'])).toBe('nothing');
  });
});
