// What a live run checks before it starts: that the broker can be reached and that this process
// may open as many sockets as the run needs.

import { lookup } from 'node:dns/promises';
import { connect, isIP } from 'node:net';
import { reasonOf } from '@flotilla/sdk/node';
import type { Broker } from '../scenario/schema.ts';
import type { Target } from './messages.ts';

/** A run that cannot start or cannot go on, for a reason that the user can mend. */
export class RunError extends Error {
  override readonly name = 'RunError';
  /** Of the process: 1 failed, beyond 128 interrupted by a signal. */
  readonly exitCode: number;

  constructor(message: string, exitCode = 1) {
    super(message);
    this.exitCode = exitCode;
  }

  /** The run was ended by a signal, before there was anything to sum up. */
  get isInterruption(): boolean {
    return this.exitCode > 128;
  }
}

const CONNECT_MS_MAX = 5000;
/** Timers of Node take 31 bits of ms; beyond that they fire at once. */
const RUN_MS_MAX = 2_147_483_647;
/** Files beside the devices' sockets: pipes, modules, the observer, what libraries open. */
const SPARE_FILES = 100;

/**
 * Resolves the broker's name once for all devices, to the first of its addresses that accepts a
 * connection; throws `RunError` when none does. `permit` sees every address before the first
 * connection is tried, and throws where none may be.
 */
export async function resolveTarget(
  broker: Broker,
  permit: (address: string) => void = () => undefined,
): Promise<Target> {
  const addresses = await addressesOf(broker);
  for (const address of addresses) permit(address);
  const failures: string[] = [];
  for (const address of addresses) {
    const failure = await tryConnect(address, broker.port);
    if (failure === undefined) return targetAt(broker, address);
    failures.push(addresses.length > 1 ? `${address}: ${failure}` : failure);
  }
  throw new RunError(
    `${broker.url}: ${failures.join(', ')}\n` +
      'Is a broker listening there? Without --broker a run brings its own.',
  );
}

function targetAt(broker: Broker, host: string): Target {
  const { port, username, password, tls } = broker;
  // Certificates name hosts, so TLS goes on with the name.
  const named = isIP(broker.host) === 0 ? { serverName: broker.host } : {};
  return {
    host,
    port,
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(tls === undefined ? {} : { tls: { ...tls, ...named } }),
  };
}

async function addressesOf(broker: Broker): Promise<string[]> {
  if (isIP(broker.host) !== 0) return [broker.host];
  try {
    const found = await lookup(broker.host, { all: true });
    return found.map(({ address }) => address);
  } catch {
    throw new RunError(`${broker.url}: host not found: ${broker.host}`);
  }
}

/** The reason why a TCP connection fails, or undefined. */
function tryConnect(host: string, port: number): Promise<string | undefined> {
  const { promise, resolve } = Promise.withResolvers<string | undefined>();
  const socket = connect({ host, port });
  // Where this thread was what was late, the connection is there, and seen before `setImmediate`.
  const late = () => setImmediate(resolve, 'connection timed out');
  const timer = setTimeout(late, CONNECT_MS_MAX);
  socket.once('connect', () => resolve(undefined));
  socket.once('error', (error) => resolve(reasonOf(error)));
  return promise.finally(() => {
    clearTimeout(timer);
    socket.destroy();
  });
}

/** Throws `RunError` for a run in real time that is longer than a timer can be. */
export function checkDuration(durationMs: number): void {
  if (durationMs <= RUN_MS_MAX) return;
  const days = Math.floor(RUN_MS_MAX / 86_400_000);
  throw new RunError(`a live run lasts ${days} days at most: give it a shorter --duration`);
}

/** Throws `RunError` when `devices` sockets do not fit in this process's limit of open files. */
export function checkOpenFiles(devices: number): void {
  const limit = openFileLimit();
  if (limit === undefined || devices + SPARE_FILES <= limit) return;
  throw new RunError(
    `${devices.toLocaleString('en')} devices need as many sockets, and this process may open ` +
      `${limit.toLocaleString('en')} files.\n` +
      `Raise the limit (ulimit -n ${devices + SPARE_FILES}) or run fewer devices ` +
      `(--devices ${Math.max(1, limit - SPARE_FILES)}).`,
  );
}

/** The soft limit of open files, or undefined where there is none. */
function openFileLimit(): number | undefined {
  if (process.report === undefined) return undefined;
  // Looking up the names of open connections would take seconds.
  Object.assign(process.report, { excludeNetwork: true });
  const report = process.report.getReport() as {
    userLimits?: { open_files?: { soft?: number | string } };
  };
  const soft = Number(report.userLimits?.open_files?.soft);
  return Number.isFinite(soft) ? soft : undefined;
}
