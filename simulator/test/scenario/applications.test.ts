// Applications that cannot run are mistakes of the scenario, with their own place in them.

import { writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { applicationMistakes } from '../../src/fleet/application-check.ts';
import { directory, load, mistakes } from './scenario-file.ts';

const shown = relative(process.cwd(), directory);

/** The mistakes of a scenario that runs this module, without its own place and folder. */
function mistakesOf(name: string, body: string): string[] {
  writeFileSync(join(directory, name), body);
  const text = `name: applied
fleets:
  - { name: a, count: 1, application: ${name}, interval: 1s }
duration: 20s
`;
  const prefix = `f:3:39: fleets[0].application: `;
  return mistakes(text).map((line) => {
    expect(line.startsWith(prefix)).toBe(true);
    return line.slice(prefix.length).replaceAll(`${shown}/`, '').replaceAll(`${directory}/`, '');
  });
}

const START = 'export function start() {}\n';
const BAD = `${START}const a = { b: { ;\n`;

beforeAll(() => writeFileSync(join(directory, 'bad.mjs'), BAD));

describe('an application', () => {
  it.each([
    [
      'does not parse (TypeScript)',
      'bad.ts',
      'export function start(a: number {\n}\n',
      /^bad\.ts:1:33: Expected ',', got '\{'$/,
    ],
    ['does not parse (JavaScript)', 'bad.mjs', BAD, /^bad\.mjs:2:18: Unexpected token ';'$/],
    [
      'needs a compiler',
      'colours.ts',
      `enum Colour { Red }\n${START}`,
      /^colours\.ts:1:1: TypeScript enum is not supported/,
    ],
    [
      'imports what does not parse',
      'importer.mjs',
      `import './bad.mjs';\n${START}`,
      /^bad\.mjs:2:18: Unexpected token ';'$/,
    ],
    [
      'imports what is not there',
      'lost.mjs',
      `import './nowhere.mjs';\n${START}`,
      /^Cannot find module 'nowhere\.mjs' imported from lost\.mjs$/,
    ],
    [
      'throws as it is imported',
      'thrower.mjs',
      `${START}\nnull.x;\n`,
      /^thrower\.mjs:3:6: TypeError: Cannot read properties of null/,
    ],
    [
      'ends the process',
      'quitter.mjs',
      "console.error('done');\nprocess.exit(3);\n",
      /^quitter\.mjs: ends the process as it is imported \(exit code 3\)$/,
    ],
    [
      'has no start',
      'startless.mjs',
      'export const begin = () => 1;\n',
      /^startless\.mjs: it must export function start\(device, platform\)$/,
    ],
    [
      'has commands that are no functions',
      'orders.mjs',
      `${START}export const commands = { open: true };\n`,
      /^orders\.mjs: commands: expected a map of functions by name$/,
    ],
    [
      'has sensors that cannot be read',
      'deaf.mjs',
      `${START}export const sensors = [{ name: 'x' }];\n`,
      /^deaf\.mjs: sensors: expected a list of \{ name, read\(device\) \}$/,
    ],
    [
      'has more sensors than a device takes',
      'many.mjs',
      `${START}const read = () => 1;
export const sensors = Array.from({ length: 21 }, (_, at) => ({ name: 's' + at, read }));\n`,
      /^many\.mjs: sensors: expected at most 20$/,
    ],
  ])('that %s is told at its place', (_, name, body, expected) => {
    expect(mistakesOf(name, body)).toEqual([expect.stringMatching(expected)]);
  });

  it('may write as it is imported, and start timers', () => {
    const body = `console.log('hello'); console.error('hello'); setInterval(() => 1, 10);\n${START}`;
    expect(mistakesOf('talker.mjs', body)).toEqual([]);
  });

  it('that never comes to the end of its import is told after a while', () => {
    const file = join(directory, 'loop.mjs');
    writeFileSync(file, 'for (;;);\n');
    const { scenario } = load(
      'name: a\nfleets:\n  - { name: a, count: 1, kind: plain, interval: 1s }\nduration: 1s\n',
    );
    expect(applicationMistakes(file, scenario, scenario.fleets, 1500)).toEqual([
      `${shown}/loop.mjs: its import does not come to an end within 1.5 s`,
    ]);
  });
});
