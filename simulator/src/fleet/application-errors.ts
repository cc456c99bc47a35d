// What applications of the user's threw: counted by fleet, and the first ones kept with the device
// and the place in the user's own file.

import { relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Registry } from '../metrics/registry.ts';

/** Errors told apart by fleet, place and message; those beyond are counted only. */
export const ERRORS_SHOWN_MAX = 5;
const MESSAGE_LENGTH_MAX = 300;

export interface ApplicationError {
  readonly fleet: string;
  /** The first one on which it happened. */
  readonly device: string;
  /** `file:line:column`, relative to where the run was started; absent where it cannot be told. */
  readonly place?: string;
  readonly message: string;
  readonly count: number;
}

export class ApplicationErrors {
  private readonly registry: Registry;
  private readonly shown: ApplicationError[] = [];

  constructor(registry: Registry) {
    this.registry = registry;
  }

  add(fleet: number, device: string, error: unknown): void {
    this.registry.counter('application_errors', fleet).add();
    const place = placeOf(error);
    const one = {
      fleet: this.registry.fleets[fleet]!,
      device,
      ...(place === undefined ? {} : { place }),
      message: messageOf(error),
      count: 1,
    };
    addError(this.shown, one);
  }

  toList(): readonly ApplicationError[] {
    return [...this.shown];
  }
}

/** Adds an error to those that are shown: to one like it, or to the end where there is room. */
export function addError(shown: ApplicationError[], error: ApplicationError): void {
  const index = shown.findIndex(
    ({ fleet, message, place }) =>
      fleet === error.fleet && place === error.place && message === error.message,
  );
  if (index >= 0) shown[index] = { ...shown[index]!, count: shown[index]!.count + error.count };
  else if (shown.length < ERRORS_SHOWN_MAX) shown.push(error);
}

/** Errors that the language itself throws where code is wrong, not where it refuses something. */
export function isSlip(error: unknown): boolean {
  return error instanceof TypeError || error instanceof ReferenceError;
}

/** True for an error that passed through a file of the user's. */
export function isOfUser(error: unknown): boolean {
  return placeOf(error) !== undefined;
}

/** Where the error was thrown, in the first file of the stack that is none of ours or Node's. */
function placeOf(error: unknown): string | undefined {
  const stack = (error as { readonly stack?: unknown } | null | undefined)?.stack;
  if (typeof stack !== 'string') return undefined;
  for (const [, path, line, column] of stack.matchAll(FRAME)) {
    const file = path!.startsWith('file://') ? fileURLToPath(path!) : path!;
    if (!isUserFile(file)) continue;
    return `${relative(process.cwd(), file)}:${line}:${column}`;
  }
  return undefined;
}

/** True for a file that is none of the packages whose code runs beside an application. */
export function isUserFile(file: string): boolean {
  return !OWN_FOLDERS.some((folder) => file.startsWith(folder));
}

/** `at name (file:///path:1:2)`, `at /path:1:2`; modules of Node have no path. */
const FRAME = /^ +at (?:.*\()?((?:file:\/\/)?(?:\/|[A-Za-z]:\\)[^\n]*?):(\d+):(\d+)\)?$/gm;

const OWN_FOLDERS = ['@flotilla/sdk', '@flotilla/sdk/node'].map((name) => {
  // …/sdk/src/index.ts and …/sdk/ports/node/index.ts, or the same of a build.
  return fileURLToPath(new URL('.', import.meta.resolve(name)));
});
OWN_FOLDERS.push(fileURLToPath(new URL('..', import.meta.url)));

function messageOf(error: unknown): string {
  const { message, name } = (error ?? {}) as {
    readonly message?: unknown;
    readonly name?: unknown;
  };
  const text =
    typeof message !== 'string'
      ? String(error)
      : name === 'Error'
        ? message
        : `${name}: ${message}`;
  return text.slice(0, MESSAGE_LENGTH_MAX);
}
