// `.ci/run` decides whether anything may be merged, and nothing else runs it: so run it, with an npm
// whose stages end as we like, and with programs that do nothing in place of what Debian would install.

import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';

const source = fileURLToPath(new URL('../.ci/run', import.meta.url));

/** What stages write without a mistake: three tests, and one of everything else. */
const COUNTS: Readonly<Record<string, object>> = {
  tests: {
    numPassedTests: 3,
    numFailedTests: 0,
    numPendingTests: 0,
    numTodoTests: 0,
    testResults: [],
  },
  live: {
    numPassedTests: 1,
    numFailedTests: 0,
    numPendingTests: 0,
    numTodoTests: 0,
    testResults: [],
  },
  check: { passed: 1, failed: 0, skipped: 0 },
  install: { passed: 1, failed: 0, skipped: 0 },
  scenarios: { passed: 1, failed: 0, skipped: 0 },
};

/** How a stage ends: its exit code, and the file of its counts if it writes one. */
interface Ending {
  readonly code: number;
  readonly counts?: string;
}
type Endings = Readonly<Record<string, Ending>>;

/** The file is the last argument, behind `=` or as it is; its name is that of the stage. */
const NPM = `#!/bin/sh
for file; do :; done
file=\${file##*=}
name=\${file##*/}
name=\${name%.json}
cd "\${0%/*}"
if [ -e "$name.counts" ]; then cp "$name.counts" "$file"; fi
exit "$(cat "$name.code")"
`;

let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'flotilla-ci-'));
  mkdirSync(join(folder, '.ci'));
  copyFileSync(source, join(folder, '.ci/run'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Its exit code and last line, where the other stages pass. */
function run(endings: Endings): [code: number | null, last: string | undefined] {
  const programs = mkdtempSync(join(folder, 'programs-'));
  const program = (name: string, text: string) =>
    writeFileSync(join(programs, name), text, { mode: 0o755 });
  for (const name of ['mosquitto', 'rabbitmq-server', 'nats-server', 'gcc', 'make']) {
    program(name, '#!/bin/sh\n');
  }
  program('npm', NPM);
  for (const [stage, passed] of Object.entries(COUNTS)) {
    const { code, counts } = endings[stage] ?? { code: 0, counts: JSON.stringify(passed) };
    writeFileSync(join(programs, `${stage}.code`), String(code));
    if (counts !== undefined) writeFileSync(join(programs, `${stage}.counts`), counts);
  }
  const { status, stdout } = spawnSync('bash', [join(folder, '.ci/run')], {
    env: { ...process.env, PATH: `${programs}${delimiter}${process.env.PATH}` },
    encoding: 'utf8',
  });
  return [status, stdout.trimEnd().split('\n').at(-1)];
}

const counted = (counts: object, code = 0): Ending => ({ code, counts: JSON.stringify(counts) });
const ofTests = (changes: object, code = 0) => counted({ ...COUNTS.tests, ...changes }, code);
const failedFile = { status: 'failed', assertionResults: [] };

test('all stages pass', () => {
  expect(run({})).toEqual([0, '7 passed, 0 failed']);
});

test.each<[name: string, endings: Endings, last: string]>([
  ['a test fails', { tests: ofTests({ numFailedTests: 2 }, 1) }, '7 passed, 2 failed'],
  ['a test is skipped', { tests: ofTests({ numPendingTests: 1 }) }, '7 passed, 1 failed'],
  ['a test is to do', { tests: ofTests({ numTodoTests: 1 }) }, '7 passed, 1 failed'],
  [
    'a file of tests does not load',
    { tests: ofTests({ testResults: [failedFile] }, 1) },
    '7 passed, 1 failed',
  ],
  ['something fails outside of every test', { tests: ofTests({}, 1) }, '7 passed, 1 failed'],
  ['no test runs', { tests: ofTests({ numPassedTests: 0 }) }, '4 passed, 1 failed'],
  [
    'a check fails',
    { check: counted({ passed: 3, failed: 1, skipped: 0 }, 1) },
    '9 passed, 1 failed',
  ],
  [
    'a scenario is skipped',
    { scenarios: counted({ passed: 1, failed: 0, skipped: 2 }) },
    '7 passed, 2 failed',
  ],
  ['a stage ends before its counts', { install: { code: 1 } }, '6 passed, 1 failed'],
  ['a stage leaves no counts', { install: { code: 0 } }, '6 passed, 1 failed'],
  [
    'a stage is cut off in its counts',
    { check: { code: 1, counts: '{"pas' } },
    '6 passed, 1 failed',
  ],
  ['a stage writes something else', { check: { code: 0, counts: '{}' } }, '6 passed, 1 failed'],
  ['the tests write something else', { tests: { code: 0, counts: '{}' } }, '4 passed, 1 failed'],
  [
    'a stage runs nothing',
    { scenarios: counted({ passed: 0, failed: 0, skipped: 0 }) },
    '6 passed, 1 failed',
  ],
  [
    'all of them crash',
    { tests: { code: 1 }, check: { code: 1 }, install: { code: 1 }, scenarios: { code: 1 } },
    '1 passed, 4 failed',
  ],
])('%s', (_name, endings, last) => {
  expect(run(endings)).toEqual([1, last]);
});
