// The boot record as a state machine, explored to the end: every state that any sequence of
// resets, confirms, rejects and stagings can reach, and the invariants in each of them.

import type { BootReason } from '@flotilla/sdk/platform';
import { decodeRecord, RECORD_SIZE } from '../boot-record.ts';
import { Bootloader } from '../bootloader.ts';
import type { BootDecision, Machine } from '../machine.ts';
import { TRIES_MAX } from '../profiles/hardened.ts';
import { UpdateSlot } from '../update-slot.ts';
import { FLOWS } from './flows.ts';
import { type CampaignWorld, fieldMachine, LAYOUT, writeSlot } from './world.ts';

const RESETS: readonly BootReason[] = ['power-on', 'restart', 'watchdog', 'crash', 'brownout'];

/** A state: what the flash and the fuses hold, and what runs on it. */
interface Node {
  readonly machine: Machine;
  /** Absent while the machine is off. */
  readonly running: BootDecision | undefined;
}

export interface GraphResult {
  readonly states: number;
  readonly transitions: number;
  /** Longest shortest path from the start. */
  readonly depth: number;
  readonly violations: readonly string[];
}

/** Explores the record of the world's profile from a machine in the field. */
export function exploreRecord(world: CampaignWorld): GraphResult {
  const flow = FLOWS.find(({ id }) => id === 'confirm-0-secure')!;
  const machine = fieldMachine(world, flow);
  // Both slots hold images that may be staged: what varies is the record and the fuses.
  writeSlot(machine, 1, world.images['next-secure'], true);
  const start: Node = { machine, running: undefined };
  const seen = new Map<string, number>([[keyOf(start), 0]]);
  const queue: Node[] = [start];
  const violations: string[] = [];
  let transitions = 0;
  let depth = 0;
  for (let node = queue.shift(); node !== undefined; node = queue.shift()) {
    const distance = seen.get(keyOf(node))!;
    for (const { name, next } of successors(world, node)) {
      transitions += 1;
      const problem = check(node, next);
      if (problem !== undefined) violations.push(`${keyOf(node)} --${name}--> ${problem}`);
      const key = keyOf(next);
      if (seen.has(key)) continue;
      seen.set(key, distance + 1);
      depth = Math.max(depth, distance + 1);
      queue.push(next);
    }
  }
  return { states: seen.size, transitions, depth, violations };
}

function* successors(
  world: CampaignWorld,
  node: Node,
): Generator<{ readonly name: string; readonly next: Node }> {
  if (node.running === undefined) {
    for (const reset of RESETS) {
      const machine = copy(node.machine);
      machine.flash.powerOn();
      const running = new Bootloader(machine, world.profile).boot(reset);
      yield { name: `boot(${reset})`, next: { machine, running } };
    }
    return;
  }
  yield { name: 'reset', next: { machine: copy(node.machine), running: undefined } };
  if (node.running.outcome !== 'slot') return;
  for (const name of ['confirm', 'reject', 'stage'] as const) {
    if (name === 'stage' && node.running.trial) continue;
    const machine = copy(node.machine);
    const bootloader = new Bootloader(machine, world.profile);
    const firmware = new UpdateSlot(bootloader, node.running, () => undefined);
    if (name === 'confirm') firmware.confirm();
    else if (name === 'stage') firmware.stage();
    else firmware.reject('unfit');
    const running = { ...node.running, trial: node.running.trial && name !== 'confirm' };
    yield { name, next: { machine, running } };
  }
}

/** What is wrong with a transition, or undefined. */
function check(from: Node, to: Node): string | undefined {
  const { running } = to;
  if (to.machine.fuses.rollbackCounter < from.machine.fuses.rollbackCounter) return 'counter fell';
  if (running === undefined || from.running !== undefined) return undefined;
  if (running.outcome === 'halt') return `halt: ${running.reason}`;
  if (running.outcome === 'slot' && running.securityVersion < from.machine.fuses.rollbackCounter) {
    return 'runs below the counter';
  }
  const state = recordOf(to.machine)?.slots[running.slot as 0 | 1];
  if (running.trial && (state === undefined || state.tries >= TRIES_MAX)) {
    return 'a trial began without its try being counted';
  }
  return undefined;
}

function copy(machine: Machine): Machine {
  return { ...machine, flash: machine.flash.clone(), fuses: machine.fuses.clone() };
}

/** Names the state; sequences grow for ever, so only which sector wins and what it says counts. */
function keyOf({ machine, running }: Node): string {
  const record = recordOf(machine);
  const { rollbackCounter } = machine.fuses;
  const slots = record?.slots.map(({ state, tries }) => `${state}:${tries}`).join(' ');
  const program =
    running === undefined ? 'off' : `${running.outcome} ${running.slot} ${running.trial}`;
  return `${record?.active} [${slots}] ${record?.reason} counter ${rollbackCounter}, ${program}`;
}

function recordOf({ flash }: Machine) {
  const bytes = [0, 1].map((sector) => {
    const content = new Uint8Array(RECORD_SIZE);
    flash.read(LAYOUT.record.start + sector * flash.geometry.sectorSize, content);
    return decodeRecord(content);
  });
  const [a, b] = bytes;
  if (a === undefined || b === undefined) return a ?? b;
  return a.sequence > b.sequence ? a : b;
}
