// What a run that lives leaves in the user's state folder, so that one that was killed can be named:
// a small file, removed when nothing of the run is left at its broker.

import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { homedir, hostname } from 'node:os';
import { join } from 'node:path';

export interface RunRecord {
  readonly run: string;
  /** `mqtt://host:port`, without credentials. */
  readonly broker: string;
  readonly pid: number;
  /** Where `pid` means anything. */
  readonly host: string;
  /** ISO 8601. */
  readonly startedAt: string;
  /** Removes what the run left: `npx flotilla clean …`. */
  readonly clean: string;
}

/** When a process began, where the system tells: an id that is used again is another process. */
interface StoredRecord extends RunRecord {
  readonly began: string | undefined;
}

function stateFolder(): string {
  const { LOCALAPPDATA, XDG_STATE_HOME } = process.env;
  if (XDG_STATE_HOME) return join(XDG_STATE_HOME, 'flotilla');
  if (process.platform === 'win32') {
    return join(LOCALAPPDATA || join(homedir(), 'AppData', 'Local'), 'flotilla', 'state');
  }
  return join(homedir(), '.local', 'state', 'flotilla');
}

function fileOf(run: string, pid: number): string {
  return join(stateFolder(), 'runs', `${run}-${pid}.json`);
}

/** Writes the record of this process's run. */
export function writeRunRecord(run: string, broker: string, clean: string): void {
  const { pid } = process;
  const startedAt = new Date().toISOString();
  const record: StoredRecord = {
    run,
    broker,
    pid,
    host: hostname(),
    startedAt,
    clean,
    began: beginOf(pid),
  };
  try {
    mkdirSync(join(stateFolder(), 'runs'), { recursive: true, mode: 0o700 });
    writeFileSync(fileOf(run, pid), `${JSON.stringify(record, undefined, 2)}\n`, { mode: 0o600 });
  } catch {
    // A home that cannot be written is no reason not to run: the command was printed as well.
  }
}

/** Removes the record of the run `run` of the process `pid`. */
export function removeRunRecord(run: string, pid: number): void {
  try {
    rmSync(fileOf(run, pid), { force: true });
  } catch {
    // As where it was written.
  }
}

/** The runs of this machine that ended without cleaning up, oldest first. */
export function runsLeftBehind(): RunRecord[] {
  const host = hostname();
  return readAll()
    .filter((record) => record.host === host && !isGoingOn(record))
    .sort((left, right) => left.startedAt.localeCompare(right.startedAt))
    .map(({ began: _, ...record }) => record);
}

function readAll(): StoredRecord[] {
  const folder = join(stateFolder(), 'runs');
  let names: string[];
  try {
    names = readdirSync(folder);
  } catch {
    return []; // Nobody ran anything yet.
  }
  return names.flatMap((name) => {
    try {
      const record = JSON.parse(readFileSync(join(folder, name), 'utf8')) as StoredRecord;
      const { broker, clean, host, pid, run, startedAt } = record;
      const texts = [broker, clean, host, run, startedAt];
      return Number.isInteger(pid) && texts.every((text) => typeof text === 'string')
        ? [record]
        : [];
    } catch {
      return []; // Being written, removed just now, or none of ours.
    }
  });
}

function isGoingOn({ began, pid }: StoredRecord): boolean {
  return isThere(pid) && beginOf(pid) === began;
}

function isThere(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // Another user's, perhaps.
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** Linux: clock ticks from boot to the start of a process, field 22 of proc_pid_stat(5). */
function beginOf(pid: number): string | undefined {
  if (process.platform !== 'linux') return undefined;
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The second field is a name in parentheses, which may hold anything.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  } catch {
    return undefined;
  }
}
