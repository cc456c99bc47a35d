// `flotilla-boot flash`: chips as files, made, shown, booted and taken apart.

import {
  type Command,
  CommandError,
  type CommandGroup,
  columns,
  JSON_OPTION,
  replaceFile,
} from '@flotilla/command-line';
import { toHex } from '@flotilla/sdk/codec/bytes';
import { decodeRecord, REASON_NAMES, RECORD_SIZE, type SlotState } from '../boot-record.ts';
import { espSequenceCrc } from '../crc32.ts';
import { hex } from '../hex.ts';
import type { Machine, Region } from '../machine.ts';
import { nodeCrypto } from '../node-crypto.ts';
import { bootCommand } from './flash-boot.ts';
import { createCommand } from './flash-create.ts';
import {
  bytesOf,
  type FlashFile,
  fusesPathOf,
  readFlashFile,
  regionOf,
  TABLE_OFFSET,
} from './flash-file.ts';
import { reportImage } from './image-report.ts';
import { formatSize } from './sizes.ts';
import { profileOf } from './stage2.ts';

interface InfoArguments {
  file: string;
  json: boolean;
}

interface DumpArguments {
  file: string;
  region?: string;
  out?: string;
  json: boolean;
}

const ERASED = 0xff;
const LINE_SIZE = 16;

const infoCommand: Command<InfoArguments> = {
  command: 'info <file>',
  describe: 'Show what is on a chip: regions, record, images, fuses',
  builder: (command) =>
    command
      .positional('file', { type: 'string', demandOption: true, describe: 'Flash file' })
      .option('json', JSON_OPTION)
      .example('$0 flash info chip.bin', ''),
  handler: ({ file: path, json }) => {
    const file = readFlashFile(path);
    const report = reportOf(file);
    console.log(json ? JSON.stringify(report, undefined, 2) : render(report, file));
  },
};

const dumpCommand: Command<DumpArguments> = {
  command: 'dump <file>',
  describe: 'Copy a region of a chip to a file, or print it in hex',
  builder: (command) =>
    command
      .positional('file', { type: 'string', demandOption: true, describe: 'Flash file' })
      .option('region', {
        type: 'string',
        describe: 'record, slot0, slot1, recovery, stage2, table, or a name of its table',
      })
      .option('out', { type: 'string', describe: 'File for the raw bytes' })
      .option('json', JSON_OPTION)
      .example('$0 flash dump chip.bin --region record', 'erased lines are left out')
      .example('$0 flash dump chip.bin --region slot1 --out slot1.bin', ''),
  handler: ({ file: path, json, out, region: name }) => {
    const file = readFlashFile(path);
    const whole: Region = { start: 0, size: file.machine.flash.geometry.size };
    const region = name === undefined ? whole : regionOf(file, name);
    if (region === undefined) {
      const names = [...file.partitions.map((each) => each.name), 'table'].join(', ');
      throw new CommandError(`${path}: has no region ${name}; it has ${names}`);
    }
    const { size, start } = region;
    const bytes = bytesOf(file.machine).subarray(start, start + size);
    if (out !== undefined) replaceFile(out, bytes);
    if (json) {
      const sha256 = toHex(nodeCrypto.sha256(bytes));
      const result = { file: path, region: name ?? null, offset: start, size, sha256 };
      console.log(JSON.stringify({ ...result, out: out ?? null }, undefined, 2));
    } else if (out === undefined) process.stdout.write(hexOf(bytes, start));
    else console.log(`${out}: ${size.toLocaleString('en')} bytes from ${hex(start)}`);
  },
};

export const flashCommand: CommandGroup = {
  name: 'flash',
  describe: 'Make, show, boot and take apart chips',
  commands: [createCommand, infoCommand, bootCommand, dumpCommand],
};

interface RegionReport {
  readonly name: string;
  readonly offset: number;
  readonly size: number;
  readonly content: string;
}

interface ChipReport {
  readonly file: string;
  readonly chip: string;
  readonly size: number;
  readonly profile: string | null;
  readonly fuses: object | null;
  readonly record: readonly string[];
  readonly regions: readonly RegionReport[];
}

function reportOf(file: FlashFile): ChipReport {
  const { hasFuses, machine, partitions, path, stage2 } = file;
  const { flash, fuses, layout } = machine;
  const images = [...layout.slots, layout.recovery];
  const regions = partitions.map(({ name, offset, size }) => {
    const isImage = images.some((region) => region?.start === offset);
    let content = isErased(machine, { start: offset, size }) ? 'erased' : 'data';
    if (offset === layout.stage2.start) content = stage2Text(file);
    else if (offset === layout.record.start) content = 'two entries';
    else if (isImage && content === 'data') content = imageText(file, { start: offset, size });
    return { name, offset, size, content };
  });
  const table = { name: 'table', offset: TABLE_OFFSET, size: 0xc00, content: 'partition table' };
  return {
    file: path,
    chip: flash.geometry.name,
    size: flash.geometry.size,
    profile: stage2?.profile ?? null,
    fuses: hasFuses ? { ...fuses.toState(), rollbackCounter: fuses.rollbackCounter } : null,
    record: [0, 1].map((sector) => entryText(machine, sector)),
    regions: [...regions, table].sort((a, b) => a.offset - b.offset),
  };
}

function readRegion({ flash }: Machine, { size, start }: Region): Uint8Array {
  const bytes = new Uint8Array(size);
  flash.read(start, bytes);
  return bytes;
}

function isErased(machine: Machine, region: Region): boolean {
  return readRegion(machine, region).every((byte) => byte === ERASED);
}

function stage2Text({ machine, stage2 }: FlashFile): string {
  const digest = toHex(machine.crypto.sha256(readRegion(machine, machine.layout.stage2)));
  const { secureBoot, stage2Digest } = machine.fuses;
  const trust = !secureBoot
    ? 'no secure boot'
    : digest === stage2Digest
      ? 'the one that the fuses name'
      : 'not the one that the fuses name';
  if (stage2 === undefined) return `none that can be simulated; ${trust}`;
  const { keys, profile } = stage2;
  return `${profile}, ${keys.length} ${keys.length === 1 ? 'key' : 'keys'}; ${trust}`;
}

/** What the bootloader thinks of the image, or what it says of itself where there is no profile. */
function imageText({ machine, stage2 }: FlashFile, region: Region): string {
  if (stage2 === undefined) {
    const result = reportImage(readRegion(machine, region));
    return result.ok ? `${result.report.version}, not verified` : result.reason;
  }
  const verdict = profileOf(stage2).verify(machine, region);
  if (!verdict.ok) return `refused: ${verdict.reason}`;
  const { keyDigest, securityVersion, version } = verdict;
  const { fuses } = machine;
  const text = `${version}, security counter ${securityVersion}`;
  if (stage2.profile === 'hardened' && !fuses.trusts(keyDigest)) {
    return `${text}, refused: its key is not trusted by the fuses`;
  }
  const isChecked = stage2.profile === 'hardened' || stage2.antiRollback;
  if (isChecked && securityVersion < fuses.rollbackCounter) {
    return `${text}, refused: the rollback counter is ${fuses.rollbackCounter}`;
  }
  return text;
}

const STATE_NAMES = ['new', 'on trial', 'valid', 'invalid', 'aborted'];

function stateText({ state, tries }: SlotState): string {
  const name = state === 0xff ? 'empty' : (STATE_NAMES[state] ?? `state ${state}`);
  return state <= 1 ? `${name} (${tries} tries left)` : name;
}

/** One of the two entries of the record, ours or ESP-IDF's. */
function entryText(machine: Machine, sector: number): string {
  const { record } = machine.layout;
  const start = record.start + sector * machine.flash.geometry.sectorSize;
  const bytes = readRegion(machine, { start, size: RECORD_SIZE });
  if (bytes.every((byte) => byte === ERASED)) return 'erased';
  const entry = decodeRecord(bytes);
  if (entry !== undefined && !entry.stock) {
    const { active, reason, sequence, slots } = entry;
    const states = slots.map((slot, index) => `slot ${index} ${stateText(slot)}`).join(', ');
    return `sequence ${sequence}: slot ${active} is active (${REASON_NAMES[reason]}); ${states}`;
  }
  const view = new DataView(bytes.buffer);
  const sequence = view.getUint32(0, true);
  if (view.getUint32(28, true) !== espSequenceCrc(sequence)) return 'damaged';
  const state = view.getUint32(24, true);
  const name = state === 0xffffffff ? 'undefined' : (STATE_NAMES[state] ?? `${state}`);
  return `sequence ${sequence}: slot ${(sequence - 1) % 2} of ESP-IDF, ${name}`;
}

function render(report: ChipReport, { machine, path }: FlashFile): string {
  const { fuses } = machine;
  const { keyDigests, revokedKeys, rollbackBitCount } = fuses.toState();
  const keys = keyDigests.map((digest, index) => {
    return `${digest.slice(0, 16)}${(revokedKeys >> index) & 1 ? ' (revoked)' : ''}`;
  });
  const table = columns(
    report.regions.map(({ name, offset, size }) => [name, hex(offset, 6), formatSize(size)]),
    1,
  );
  const regions = report.regions.map(({ content }, index) => `${table[index]}  ${content}`);
  const burnt =
    report.fuses === null
      ? `none is burnt (there is no ${fusesPathOf(path)})`
      : `secure boot ${fuses.secureBoot ? 'on' : 'off'}, ` +
        `rollback counter ${fuses.rollbackCounter} of ${rollbackBitCount}, ` +
        `trusted keys: ${keys.join(', ') || 'none'}`;
  return [
    `${path}: ${report.chip}, ${formatSize(report.size)}`,
    `fuses: ${burnt}`,
    ...report.record.map((text, sector) => `record ${sector}: ${text}`),
    '',
    ...regions,
  ].join('\n');
}

/** As `hexdump -C` prints it, without the lines that are erased. */
function hexOf(bytes: Uint8Array, start: number): string {
  const lines: string[] = [];
  let skipped = 0;
  for (let offset = 0; offset < bytes.length; offset += LINE_SIZE) {
    const line = bytes.subarray(offset, offset + LINE_SIZE);
    if (line.every((byte) => byte === ERASED)) {
      skipped += line.length;
      continue;
    }
    if (skipped > 0) lines.push(`          … ${skipped.toLocaleString('en')} erased`);
    skipped = 0;
    const digits = toHex(line).replace(/..(?=.)/g, '$& ');
    const text = Array.from(line, (byte) =>
      byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '.',
    ).join('');
    const at = hex(start + offset, 8).slice(2);
    lines.push(`${at}  ${digits.padEnd(LINE_SIZE * 3 - 1)}  ${text}`);
  }
  if (skipped > 0) lines.push(`          … ${skipped.toLocaleString('en')} erased`);
  return `${lines.join('\n')}\n`;
}
