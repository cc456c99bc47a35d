import { describe, expect, test } from 'vitest';
import { columnsOf, hasColor, mayRedraw } from '../../src/report/display.ts';

const TERMINAL = { isTTY: true };
const PIPE = {};

describe('colours', () => {
  test.each<[string, { isTTY?: boolean }, Record<string, string>, boolean]>([
    ['a terminal', TERMINAL, { TERM: 'xterm-256color' }, true],
    ['a pipe', PIPE, { TERM: 'xterm-256color' }, false],
    ['a dumb terminal', TERMINAL, { TERM: 'dumb' }, false],
    ['NO_COLOR', TERMINAL, { TERM: 'xterm-256color', NO_COLOR: '1' }, false],
    ['NO_COLOR=0, which is a value', TERMINAL, { TERM: 'xterm-256color', NO_COLOR: '0' }, false],
    ['an empty NO_COLOR', TERMINAL, { TERM: 'xterm-256color', NO_COLOR: '' }, true],
    ['FORCE_COLOR=1 and a pipe', PIPE, { FORCE_COLOR: '1' }, true],
    ['an empty FORCE_COLOR and a pipe', PIPE, { FORCE_COLOR: '' }, true],
    ['FORCE_COLOR=3 and a pipe', PIPE, { FORCE_COLOR: '3' }, true],
    ['FORCE_COLOR=0', TERMINAL, { TERM: 'xterm-256color', FORCE_COLOR: '0' }, false],
    ['FORCE_COLOR=false', TERMINAL, { TERM: 'xterm-256color', FORCE_COLOR: 'false' }, false],
    ['FORCE_COLOR and a dumb terminal', TERMINAL, { TERM: 'dumb', FORCE_COLOR: '1' }, true],
    ['FORCE_COLOR against NO_COLOR', PIPE, { FORCE_COLOR: '1', NO_COLOR: '1' }, true],
    ['a CI of unknown kind', TERMINAL, { TERM: 'xterm-256color', CI: 'true' }, false],
    ['a CI that shows them', TERMINAL, { CI: 'true', GITHUB_ACTIONS: 'true' }, true],
  ])('with %s', (_what, stream, env, expected) => {
    expect(hasColor(stream, env)).toBe(expected);
  });
});

describe('the cursor', () => {
  test.each<[string, { isTTY?: boolean }, Record<string, string>, boolean]>([
    ['a terminal', TERMINAL, { TERM: 'xterm' }, true],
    ['a terminal without a name, as on Windows', TERMINAL, {}, true],
    ['a pipe', PIPE, { TERM: 'xterm', FORCE_COLOR: '1' }, false],
    ['a dumb terminal', TERMINAL, { TERM: 'dumb' }, false],
    ['a dumb terminal and FORCE_COLOR', TERMINAL, { TERM: 'dumb', FORCE_COLOR: '1' }, false],
    ['NO_COLOR', TERMINAL, { TERM: 'xterm', NO_COLOR: '1' }, true],
    ['CI=true', TERMINAL, { TERM: 'xterm', CI: 'true' }, false],
    ['CI=1', TERMINAL, { TERM: 'xterm', CI: '1' }, false],
    ['CI=false', TERMINAL, { TERM: 'xterm', CI: 'false' }, true],
    ['CI=0', TERMINAL, { TERM: 'xterm', CI: '0' }, true],
    ['an empty CI', TERMINAL, { TERM: 'xterm', CI: '' }, true],
  ])('with %s', (_what, stream, env, expected) => {
    expect(mayRedraw(stream, env)).toBe(expected);
  });
});

test('only a terminal that knows its width has one', () => {
  expect(columnsOf({ isTTY: true, columns: 40 })).toBe(40);
  expect(columnsOf({ isTTY: true, columns: 0 })).toBeUndefined();
  expect(columnsOf({ isTTY: true })).toBeUndefined();
  expect(columnsOf({ columns: 40 })).toBeUndefined();
});
