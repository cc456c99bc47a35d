// A scenario on its way from the file to the schema: overrides are set into it, environment
// variables replaced, and it remembers where each value came from.

import { parseDocument } from 'yaml';
import { hidePassword } from './broker-url.ts';
import { type Mistake, type Path, show } from './mistakes.ts';
import { copyTree, PathError, parsePath, setAt, type Value } from './tree.ts';
import { parseCount } from './units.ts';

/** What the command line changes in a scenario. Texts are as typed: `10k`, `90s`. */
export interface Overrides {
  /** Apply the `ci:` block. */
  readonly ci?: boolean;
  /** Replaces the whole `broker` member, credentials included: they are of another broker. */
  readonly broker?: string;
  readonly duration?: string;
  readonly seed?: string | number;
  /** `path=value` each, value as in YAML. */
  readonly set?: readonly string[];
  /** Devices of all fleets together, shared out in the proportion of their counts. */
  readonly devices?: string | number;
}

/** Who set a value: a flag, or an entry of the file's `ci:` block. */
export type Origin =
  | { readonly kind: 'flag'; readonly flag: string }
  | { readonly kind: 'ci'; readonly key: string };

/** An override that could not be applied; `target` is what it was to change. */
export interface OverrideMistake {
  readonly origin: Origin;
  readonly target: string;
  readonly message: string;
}

const VARIABLE = /\$\{([^}]*)\}?/g;
const VARIABLE_NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;

/** Members whose text from the environment must not be printed. */
const SECRET_MEMBERS: readonly (string | number | undefined)[] = ['username', 'password', 'key'];

export class Draft {
  tree: Value;
  /** Values that came from the environment and are secret. */
  readonly secrets: string[] = [];
  readonly mistakes: OverrideMistake[] = [];
  private readonly origins: { readonly path: Path; readonly origin: Origin }[] = [];

  /** Takes the tree over. */
  constructor(tree: Value) {
    this.tree = tree;
  }

  /** Applies the overrides: `ci`, then broker, duration and seed, then `set`, devices at last. */
  override(overrides: Overrides): void {
    if (overrides.ci === true) this.applyCi();
    const { broker, duration, seed, devices } = overrides;
    if (broker !== undefined) this.set('broker', { url: broker }, flag('--broker'));
    if (duration !== undefined) this.set('duration', duration, flag('--duration'));
    if (seed !== undefined) this.set('seed', seedValue(seed), flag('--seed'));
    for (const text of overrides.set ?? []) this.applySet(text);
    if (devices !== undefined) this.applyDevices(devices);
  }

  /** Who set the value at a path, and the rest of the path within that value. */
  originOf(path: Path): { readonly origin: Origin; readonly rest: Path } | undefined {
    // The latest wins: a later override replaced what an earlier one had set.
    const found = this.origins.findLast(({ path: set }) =>
      set.every((part, index) => part === path[index]),
    );
    return found && { origin: found.origin, rest: path.slice(found.path.length) };
  }

  /** Replaces `${NAME}` in all texts but those of `ci`; returns the variables that are not set. */
  interpolate(variables: Readonly<Record<string, string | undefined>>): Mistake[] {
    const mistakes: Mistake[] = [];
    this.tree = copyTree(this.tree, (text, path) => {
      if (path[0] === 'ci') return text;
      return text.replaceAll(VARIABLE, (whole, name: string) => {
        const value = VARIABLE_NAME.test(name) ? variables[name] : undefined;
        if (value === undefined) {
          const message = VARIABLE_NAME.test(name)
            ? `the environment variable ${name} is not set`
            : `expected \${NAME} of an environment variable, got ${show(whole)}`;
          mistakes.push({ path, message });
          return whole;
        }
        if (path[0] === 'broker' && SECRET_MEMBERS.includes(path[1])) this.secrets.push(value);
        return value;
      });
    });
    return mistakes;
  }

  private applyCi(): void {
    const ci = isMap(this.tree) ? this.tree.ci : undefined;
    // A wrong form is the schema's to report.
    if (!isMap(ci)) return;
    for (const [key, value] of Object.entries(ci)) {
      this.set(key, copyTree(value), { kind: 'ci', key });
    }
  }

  private applySet(text: string): void {
    const at = text.indexOf('=');
    const origin = flag('--set');
    if (at < 1) {
      this.mistakes.push({ origin, target: text, message: 'expected path=value' });
      return;
    }
    const target = text.slice(0, at);
    const value = flagValue(text.slice(at + 1));
    if (value === undefined) {
      this.mistakes.push({ origin, target, message: 'the value is not valid YAML' });
    } else {
      this.set(target, value, origin);
    }
  }

  private applyDevices(devices: string | number): void {
    const origin = flag('--devices');
    const total = parseCount(devices);
    const fleets = isMap(this.tree) && Array.isArray(this.tree.fleets) ? this.tree.fleets : [];
    const counts = fleets.map((fleet) => (isMap(fleet) ? parseCount(fleet.count) : undefined));
    if (total === undefined) {
      const message = `expected a count such as 500, 10k or 1M, got ${show(devices)}`;
      this.mistakes.push({ origin, target: 'count', message });
    } else if (total < fleets.length) {
      const message = `expected at least ${fleets.length}, one for each fleet, got ${total}`;
      this.mistakes.push({ origin, target: 'count', message });
    } else if (counts.every((count) => count !== undefined && count > 0)) {
      const shares = shareOut(total, counts as number[]);
      for (const [index, share] of shares.entries()) {
        this.set(`fleets[${index}].count`, share, origin);
      }
    }
  }

  private set(target: string, value: Value, origin: Origin): void {
    const path = parsePath(target);
    if (path === undefined || path[0] === 'ci') {
      const message = path === undefined ? 'is not a path such as fleets[0].count' : CI_FIXED;
      this.mistakes.push({ origin, target, message });
      return;
    }
    try {
      this.origins.push({ path: setAt(this.tree, path, value), origin });
    } catch (error) {
      if (!(error instanceof PathError)) throw error;
      this.mistakes.push({ origin, target, message: error.message });
    }
  }
}

const CI_FIXED = 'the ci block cannot be overridden: set what it sets';

function flag(name: string): Origin {
  return { kind: 'flag', flag: name };
}

function isMap(value: Value | undefined): value is { [key: string]: Value } {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function seedValue(seed: string | number): string | number {
  return typeof seed === 'string' && /^\d+$/.test(seed) ? Number(seed) : seed;
}

/** A list, map or quoted text as YAML; all else as one scalar, `#` and `:` included. */
function flagValue(text: string): Value | undefined {
  if (/^\s*[[{"']/.test(text)) {
    const document = parseDocument(text, { version: '1.2' });
    return document.errors.length > 0 ? undefined : copyTree(document.toJS());
  }
  if (/^(true|false)$/.test(text)) return text === 'true';
  return /^-?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?$/.test(text) ? Number(text) : text;
}

/**
 * Shares `total` out in the proportion of the counts: each gets the floor of its quota, and the
 * largest remainders get one more (Hamilton's method), the earlier fleet first in a tie. None is
 * left with nothing; it takes from the largest share. `total` is at least the number of counts.
 */
export function shareOut(total: number, counts: readonly number[]): number[] {
  const sum = counts.reduce((left, right) => left + right, 0);
  // Counts and totals reach 10^7, so their product is exact.
  const shares = counts.map((count) => Math.floor((total * count) / sum));
  const remainders = counts.map((count) => (total * count) % sum);
  const order = [...counts.keys()].sort((a, b) => remainders[b]! - remainders[a]! || a - b);
  const left = total - shares.reduce((a, b) => a + b, 0);
  for (const index of order.slice(0, left)) shares[index]!++;
  for (const [index, share] of shares.entries()) {
    if (share > 0) continue;
    shares[shares.indexOf(Math.max(...shares))]!--;
    shares[index] = 1;
  }
  return shares;
}

/** The flags that repeat these overrides, one argument each; literal secrets are masked. */
export function overrideFlags(overrides: Overrides): string[] {
  const { ci, broker, duration, devices, set = [] } = overrides;
  return [
    ...(ci === true ? ['--ci'] : []),
    ...(broker === undefined ? [] : [`--broker=${hidePassword(broker)}`]),
    ...(duration === undefined ? [] : [`--duration=${duration}`]),
    ...set.map((text) => `--set=${hideSecret(text)}`),
    ...(devices === undefined ? [] : [`--devices=${devices}`]),
  ];
}

/** A secret that is named, `${PASSWORD}`, may be shown; one that is spelled out may not. */
function hideSecret(text: string): string {
  const at = text.indexOf('=');
  const target = text.slice(0, at);
  const value = text.slice(at + 1);
  const secret = /^broker(\.(password|key))?$/.test(target) && !/^\$\{\w+\}$/.test(value);
  return `${target}=${secret ? '***' : hidePassword(value)}`;
}
