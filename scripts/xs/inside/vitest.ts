// The part of vitest's interface that the SDK's tests use, for an engine that vitest cannot run on.
// Tests register as the bundle is evaluated; `runTests` then runs those of one file after another.

type Body = () => void | Promise<void>;

interface Group {
  readonly name: string;
  readonly before: Body[];
  readonly after: Body[];
  readonly atEnd: Body[];
  readonly parent: Group | undefined;
}

interface Registered {
  readonly name: string;
  readonly group: Group;
  readonly body: Body;
}

export interface Outcome {
  passed: number;
  leftOut: number;
  failures: string[];
}

function groupOf(name: string, parent?: Group): Group {
  return { name, before: [], after: [], atEnd: [], parent };
}

let group = groupOf('');
let tests: Registered[] = [];
let groups: Group[] = [];

/** `%s`, `%i`, `%j` … in turn, as vitest names the rows of a table. */
function nameOf(name: string, row: readonly unknown[]): string {
  let index = 0;
  return name.replace(/%[sdifjo]/g, (format) => {
    const value = row[index];
    index += 1;
    return format === '%j' ? JSON.stringify(value) : String(value);
  });
}

function eachOf(register: (name: string, body: Body) => void) {
  return (rows: readonly unknown[]) => (name: string, body: (...row: unknown[]) => void) => {
    const areLists = rows.every(Array.isArray);
    for (const entry of rows) {
      const row: readonly unknown[] = areLists ? (entry as unknown[]) : [entry];
      register(nameOf(name, row), () => body(...row));
    }
  };
}

function addGroup(name: string, body: () => void): void {
  const parent = group;
  group = groupOf(name, parent);
  groups.push(group);
  body();
  group = parent;
}

function addTest(name: string, body: Body): void {
  tests.push({ name, group, body });
}

export const describe = Object.assign(addGroup, { each: eachOf(addGroup as never) });
export const test = Object.assign(addTest, { each: eachOf(addTest) });
export const it = test;
export const beforeEach = (body: Body): void => void group.before.push(body);
export const afterEach = (body: Body): void => void group.after.push(body);
export const beforeAll = (body: Body): void => addTest('before all', body);
export const afterAll = (body: Body): void => void group.atEnd.push(body);

function pathOf(of: Group): Group[] {
  return of.parent === undefined ? [of] : [...pathOf(of.parent), of];
}

type IsLeftOut = (title: string) => boolean;

async function runOne(
  { name, group: of, body }: Registered,
  isLeftOut: IsLeftOut,
  outcome: Outcome,
): Promise<void> {
  const path = pathOf(of);
  const title = [...path.map((one) => one.name), name].filter((part) => part !== '').join(' > ');
  if (isLeftOut(title)) {
    outcome.leftOut += 1;
    return;
  }
  try {
    for (const one of path) for (const hook of one.before) await hook();
    await body();
    for (const one of path) for (const hook of one.after) await hook();
    outcome.passed += 1;
  } catch (error) {
    const { stack } = error as Error;
    outcome.failures.push(`${title}: ${error}\n${stack ?? ''}`);
  }
}

/** Registers what `file` holds and runs it, but for the tests whose full name says to leave out. */
export async function runTests(file: () => void, isLeftOut: IsLeftOut): Promise<Outcome> {
  const outcome: Outcome = { passed: 0, leftOut: 0, failures: [] };
  group = groupOf('');
  groups = [group];
  tests = [];
  file();
  const ran = tests;
  for (const one of ran) await runOne(one, isLeftOut, outcome);
  for (const one of groups) for (const hook of one.atEnd) await hook();
  return outcome;
}

/** Deep equality: `toEqual` treats a member that is undefined as absent. */
function isEqual(left: unknown, right: unknown): boolean {
  if (Object.is(left, right)) return true;
  if (typeof left !== 'object' || typeof right !== 'object' || !left || !right) return false;
  if (left instanceof Map && right instanceof Map) {
    return isEqual([...left.entries()], [...right.entries()]);
  }
  if (left instanceof Set && right instanceof Set) return isEqual([...left], [...right]);
  if (ArrayBuffer.isView(left) !== ArrayBuffer.isView(right)) return false;
  if (Array.isArray(left) !== Array.isArray(right)) return false;
  if (left instanceof Date && right instanceof Date) return left.getTime() === right.getTime();
  const a = left as Record<string, unknown>;
  const b = right as Record<string, unknown>;
  if ((Array.isArray(left) || ArrayBuffer.isView(left)) && a.length !== b.length) return false;
  const keys = new Set([...Object.keys(a), ...Object.keys(b)]);
  return [...keys].every((key) => isEqual(a[key], b[key]));
}

/** True when `subset` is found in `whole`, as `toMatchObject` says. */
function matches(whole: unknown, subset: unknown): boolean {
  if (typeof subset !== 'object' || subset === null || ArrayBuffer.isView(subset)) {
    return isEqual(whole, subset);
  }
  if (typeof whole !== 'object' || whole === null) return false;
  if (Array.isArray(subset)) {
    if (!Array.isArray(whole) || whole.length !== subset.length) return false;
  }
  const found = whole as Record<string, unknown>;
  return Object.entries(subset).every(([key, value]) => matches(found[key], value));
}

function show(value: unknown): string {
  try {
    const text = typeof value === 'object' ? JSON.stringify(value) : String(value);
    return text === undefined ? 'undefined' : text.slice(0, 300);
  } catch {
    return typeof value;
  }
}

function throwProblem(run: () => unknown, expected: unknown): string | undefined {
  try {
    run();
  } catch (error) {
    const message = (error as Error)?.message ?? String(error);
    if (expected === undefined) return undefined;
    if (typeof expected === 'string') {
      return message.includes(expected) ? undefined : `threw '${message}', not '${expected}'`;
    }
    if (expected instanceof RegExp) {
      return expected.test(message) ? undefined : `threw '${message}', not ${expected}`;
    }
    if (typeof expected === 'function') {
      return error instanceof expected ? undefined : `threw ${error}, not a ${expected.name}`;
    }
    return isEqual(error, expected) ? undefined : `threw ${error}`;
  }
  return 'did not throw';
}

type Check = (actual: never, expected: never, more: never) => boolean;

const CHECKS: Readonly<Record<string, Check>> = {
  toBe: (actual, expected) => Object.is(actual, expected),
  toEqual: isEqual,
  toStrictEqual: isEqual,
  toMatchObject: matches,
  toBeUndefined: (actual) => actual === undefined,
  toBeDefined: (actual) => actual !== undefined,
  toBeNull: (actual) => actual === null,
  toBeNaN: (actual) => Number.isNaN(actual),
  toSatisfy: (actual: never, holds: (value: never) => boolean) => holds(actual),
  toBeTruthy: (actual) => Boolean(actual),
  toBeFalsy: (actual) => !actual,
  toBeTypeOf: (actual, expected) => typeof actual === expected,
  toBeInstanceOf: (actual: unknown, expected: never) => (actual as object) instanceof expected,
  toBeGreaterThan: (actual, expected) => actual > expected,
  toBeGreaterThanOrEqual: (actual, expected) => actual >= expected,
  toBeLessThan: (actual, expected) => actual < expected,
  toBeLessThanOrEqual: (actual, expected) => actual <= expected,
  toBeCloseTo: (actual: number, expected: number, digits: number | undefined) =>
    Math.abs(actual - expected) < 10 ** -(digits ?? 2) / 2,
  toHaveLength: (actual: { length: number }, expected: number) => actual.length === expected,
  toContain: (actual: string | unknown[], expected: never) => actual.includes(expected),
  toContainEqual: (actual: unknown[], expected: unknown) =>
    actual.some((one) => isEqual(one, expected)),
  toMatch: (actual: string, expected: RegExp | string) =>
    typeof expected === 'string' ? actual.includes(expected) : expected.test(actual),
  toHaveProperty: (actual: object, expected: string) => expected in actual,
};

function failWith(words: string, note: string | undefined): never {
  throw new Error(note === undefined ? words : `${note}: ${words}`);
}

function expectations(actual: unknown, note: string | undefined, isNot: boolean) {
  const wanted = isNot ? 'not ' : '';
  const found: Record<string, unknown> = {
    toThrow: (expected?: unknown) => {
      const problem = throwProblem(actual as () => unknown, expected);
      if ((problem === undefined) === isNot) failWith(`${wanted}toThrow: ${problem}`, note);
    },
  };
  for (const name of Object.keys(CHECKS)) {
    const check = CHECKS[name] as Check;
    found[name] = (expected: unknown, more: unknown) => {
      const holds = check(actual as never, expected as never, more as never);
      if (holds === isNot) failWith(`${show(actual)} ${wanted}${name} ${show(expected)}`, note);
    };
  }
  found.toThrowError = found.toThrow;
  return found;
}

function expectThat(actual: unknown, note?: string) {
  return Object.assign(expectations(actual, note, false), {
    not: expectations(actual, note, true),
  });
}

export const expect = Object.assign(expectThat, {
  fail: (words: string) => {
    throw new Error(words);
  },
});
