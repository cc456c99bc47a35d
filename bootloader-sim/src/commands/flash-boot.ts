// `flotilla-boot flash boot`: resets a chip, lets its program act, and writes back what changed.

import {
  type Command,
  CommandError,
  checkWhole,
  JSON_OPTION,
  readBytes,
  UsageError,
} from '@flotilla/command-line';
import { isSameBytes, toHex } from '@flotilla/sdk/codec/bytes';
import type { BootReason } from '@flotilla/sdk/platform';
import { Bootloader } from '../bootloader.ts';
import type { BootDecision, Machine } from '../machine.ts';
import type { Profile } from '../profiles/profile.ts';
import { UpdateSlot } from '../update-slot.ts';
import {
  bytesOf,
  type FlashFile,
  fusesPathOf,
  readFlashFile,
  writeFlashFile,
} from './flash-file.ts';
import { profileOf } from './stage2.ts';

interface BootArguments {
  file: string;
  reset?: BootReason;
  times: number;
  confirm?: boolean;
  reject?: boolean;
  stage?: string;
  json: boolean;
}

/** What `--json` says of a boot. */
interface BootReport {
  readonly reset: BootReason;
  readonly outcome: BootDecision['outcome'];
  /** -1 for recovery and halt. */
  readonly slot: number;
  readonly version: string;
  readonly securityCounter: number;
  readonly digest: string;
  /** As the SDK's boot log says it; `halt` where nothing runs. */
  readonly decision: string;
  readonly reverted: boolean;
  readonly reason: string;
  readonly haltCode?: string;
  /** What the program did then. */
  readonly actions: readonly string[];
}

const RESETS = ['power-on', 'restart', 'watchdog', 'crash', 'brownout'] as const;
const TIMES_MAX = 1000;

/** A stage 2 that is not ours: the ROM may refuse it, but nobody can run it. */
function unknownProfile(path: string): Profile {
  const refuse = () => {
    throw new CommandError(`${path}: its stage 2 is none that can be simulated`);
  };
  const all = { verify: refuse, decide: refuse, stage: refuse, confirm: refuse, reject: refuse };
  return { name: 'unknown', ...all };
}

export const bootCommand: Command<BootArguments> = {
  command: 'boot <file>',
  describe: 'Boot a chip, and print which slot, why, and whether it reverted',
  builder: (command) =>
    command
      .positional('file', { type: 'string', demandOption: true, describe: 'Flash file' })
      .option('reset', {
        choices: RESETS,
        describe: 'What resets the chip; default: power-on, then restart',
      })
      .option('times', { type: 'number', default: 1, describe: 'Boots' })
      .option('confirm', { type: 'boolean', describe: 'A program on trial confirms itself' })
      .option('reject', { type: 'boolean', describe: 'A program on trial rejects itself' })
      .option('stage', {
        type: 'string',
        describe: 'The first program that may writes this image into the other slot, and stages it',
      })
      .option('json', JSON_OPTION)
      .check(({ confirm, reject, times }) => {
        checkWhole('times', times, 1, TIMES_MAX);
        if (confirm && reject) throw new UsageError('--confirm and --reject: one or the other');
        return true;
      })
      .example('$0 flash boot chip.bin', '')
      .example('$0 flash boot chip.bin --stage v2.img --times 2 --confirm', 'a whole update')
      .example('$0 flash boot chip.bin --reset watchdog --times 4', 'a program that hangs')
      .epilogue(
        'Exit code 1 where the last boot halts. The file is replaced at once, and only where ' +
          'something changed.',
      ),
  handler: (args) => {
    const image = args.stage === undefined ? undefined : readBytes(args.stage);
    const file = readFlashFile(args.file);
    const { machine } = file;
    const before = { bytes: bytesOf(machine), fuses: machine.fuses.toState() };
    const boots = new Boots(file, args, image).run();
    const changed = {
      flash: !isSameBytes(before.bytes, bytesOf(machine)),
      fuses: before.fuses !== machine.fuses.toState(),
    };
    if (changed.flash || changed.fuses) writeFlashFile(args.file, machine);
    if (args.json) console.log(JSON.stringify({ file: args.file, boots, changed }, undefined, 2));
    else print(file, boots, changed);
    if (boots.at(-1)?.outcome === 'halt') process.exitCode = 1;
  },
};

/** The boots of one command. */
class Boots {
  private readonly machine: Machine;
  private readonly args: BootArguments;
  private readonly bootloader: Bootloader;
  /** What is still to be staged. */
  private image: Uint8Array | undefined;

  constructor(file: FlashFile, args: BootArguments, image: Uint8Array | undefined) {
    this.machine = file.machine;
    this.args = args;
    this.image = image;
    const profile = file.stage2 === undefined ? unknownProfile(file.path) : profileOf(file.stage2);
    this.bootloader = new Bootloader(this.machine, profile);
  }

  run(): BootReport[] {
    const boots: BootReport[] = [];
    for (let count = 0; count < this.args.times; count += 1) {
      const reset = this.args.reset ?? (count === 0 ? 'power-on' : 'restart');
      this.machine.flash.powerOn();
      const decision = this.bootloader.boot(reset);
      const { digest, haltCode, outcome, reason, reverted, slot, version } = decision;
      boots.push({
        reset,
        outcome,
        slot,
        version,
        securityCounter: decision.securityVersion,
        digest: toHex(digest),
        decision: this.bootloader.entries().at(-1)!.decision,
        reverted,
        reason,
        ...(haltCode === undefined ? {} : { haltCode }),
        actions: outcome === 'halt' ? [] : this.act(decision),
      });
    }
    if (this.image !== undefined) {
      throw new CommandError(`${this.args.stage}: no program ran that may stage it`);
    }
    return boots;
  }

  /** What the program that runs does before the next reset. */
  private act(decision: BootDecision): string[] {
    const firmware = new UpdateSlot(this.bootloader, decision, () => undefined);
    const actions: string[] = [];
    if (firmware.trial && this.args.confirm) {
      firmware.confirm();
      actions.push('confirmed');
    } else if (firmware.trial && this.args.reject) {
      firmware.reject('--reject');
      return ['rejected'];
    }
    if (this.image === undefined || firmware.trial) return actions;
    const target = decision.slot === 0 ? 1 : 0;
    this.write(firmware, this.image);
    firmware.stage();
    this.image = undefined;
    return [...actions, `staged ${this.args.stage} in slot ${target}`];
  }

  /** Every sector is erased first, whatever it reads as (rule 6). */
  private write({ slot }: UpdateSlot, image: Uint8Array): void {
    if (image.length > slot.size) {
      const sizes = `${image.length} bytes, the slot has ${slot.size}`;
      throw new CommandError(`${this.args.stage}: does not fit: ${sizes}`);
    }
    for (let address = 0; address < slot.size; address += slot.sectorSize) {
      slot.eraseBlock(address);
      const end = Math.min(image.length, address + slot.sectorSize);
      if (address < end) slot.write(address, image, address, end);
    }
  }
}

function print(
  { hasFuses, path }: FlashFile,
  boots: readonly BootReport[],
  changed: { readonly flash: boolean; readonly fuses: boolean },
): void {
  if (!hasFuses) console.log(`${fusesPathOf(path)}: is not there: no fuse is burnt`);
  for (const { actions, decision, outcome, reason, reset, reverted, slot, version } of boots) {
    const where = outcome === 'slot' ? `slot ${slot}` : outcome;
    const what = version === '' ? '' : ` ${version}`;
    const how = outcome === 'slot' ? `, ${decision}` : reverted ? ', reverted' : '';
    console.log(`${reset.padEnd(8)}  ${where}${what}${how}: ${reason}`);
    for (const action of actions) console.log(`          ${action}`);
  }
  const files = [...(changed.flash ? [path] : []), ...(changed.fuses ? [fusesPathOf(path)] : [])];
  console.log(files.length === 0 ? 'nothing was written' : `written: ${files.join(', ')}`);
}
