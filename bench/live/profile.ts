// The functions of a .cpuprofile in which the time went, by self time.

import { readFileSync } from 'node:fs';
import { basename } from 'node:path';

interface CallFrame {
  readonly functionName: string;
  readonly url: string;
  readonly lineNumber: number;
}

interface CpuProfile {
  readonly nodes: readonly { readonly id: number; readonly callFrame: CallFrame }[];
  readonly samples: readonly number[];
  /** µs, one per sample. */
  readonly timeDeltas: readonly number[];
}

/** No work: the process waits. */
const IDLE = '(idle)';
/** The profiler's own start and end. */
const PROFILER = 'node:inspector';

export interface SelfTime {
  readonly name: string;
  readonly us: number;
  /** Of the time that is not idle. */
  readonly share: number;
}

/** Self times in falling order, without idle time and the profiler's own. */
export function selfTimes(profile: CpuProfile): SelfTime[] {
  const names = new Map(profile.nodes.map(({ id, callFrame }) => [id, nameOf(callFrame)]));
  const sums = new Map<string, number>();
  for (const [index, id] of profile.samples.entries()) {
    const name = names.get(id) ?? IDLE;
    if (name === IDLE || name.includes(PROFILER)) continue;
    sums.set(name, (sums.get(name) ?? 0) + profile.timeDeltas[index]!);
  }
  const total = [...sums.values()].reduce((sum, us) => sum + us, 0);
  return [...sums]
    .map(([name, us]) => ({ name, us, share: us / total }))
    .sort((a, b) => b.us - a.us);
}

export function readProfile(file: string): CpuProfile {
  return JSON.parse(readFileSync(file, 'utf8')) as CpuProfile;
}

/** The first `count` rows for people. */
export function formatSelfTimes(times: readonly SelfTime[], count: number): string {
  return times
    .slice(0, count)
    .map(({ name, us, share }) => {
      const percent = `${(share * 100).toFixed(1)} %`.padStart(7);
      return `${percent}  ${(us / 1000).toFixed(0).padStart(6)} ms  ${name}`;
    })
    .join('\n');
}

function nameOf({ functionName, url, lineNumber }: CallFrame): string {
  const name = functionName === '' ? '(anonymous)' : functionName;
  if (url === '') return name;
  return `${name}  ${basename(url)}:${lineNumber + 1}`;
}
