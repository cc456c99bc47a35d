// `flotilla-boot flash create`: a chip as the production line leaves it.

import {
  type Command,
  CommandError,
  JSON_OPTION,
  readBytes,
  repeatable,
  UsageError,
} from '@flotilla/command-line';
import { toHex } from '@flotilla/sdk/codec/bytes';
import { ContentPool } from '../flash/content.ts';
import { Flash } from '../flash/flash.ts';
import { type Geometry, W25Q32, W25Q128 } from '../flash/geometry.ts';
import { Fuses, KEY_COUNT_MAX } from '../fuses.ts';
import { publicKeyInfo } from '../images/mcuboot.ts';
import {
  APP_FACTORY,
  APP_OTA_0,
  createPartitionTable,
  DATA_OTA,
  PARTITION_APP,
  PARTITION_DATA,
  type PartitionRow,
} from '../images/partition-table.ts';
import type { FlashLayout, Machine, Region } from '../machine.ts';
import { nodeCrypto } from '../node-crypto.ts';
import {
  BLANK_FUSES,
  fusesPathOf,
  geometryOf,
  layoutOf,
  PARTITION_BOOTLOADER,
  TABLE_OFFSET,
  writeFlashFile,
} from './flash-file.ts';
import { readPublicKeys } from './keys.ts';
import { formatSize, parseSize } from './sizes.ts';
import { type ProfileName, profileOf, type Stage2, writeStage2 } from './stage2.ts';

interface CreateArguments {
  out: string;
  chip: string;
  slot0: string;
  slot1?: string;
  recovery?: string;
  key?: string[];
  profile: ProfileName;
  rollback?: boolean;
  antiRollback?: boolean;
  json: boolean;
}

const RECORD_OFFSET = 0xd000;
const RECORD_SIZE = 0x2000;
const APPS_OFFSET = 0x10000;
/** Applications start where an ESP32 can map them. */
const APP_ALIGNMENT = 0x10000;

export const createCommand: Command<CreateArguments> = {
  command: 'create',
  describe: 'Make a chip: its flash as a raw file, and its fuses beside it',
  builder: (command) =>
    command
      .option('out', {
        type: 'string',
        demandOption: true,
        describe: 'File of the flash; FILE.fuses.json gets the fuses',
      })
      .option('chip', {
        type: 'string',
        default: W25Q32.name,
        describe: 'W25Q32 (4 MB), W25Q128 (16 MB), or a size like 512K',
      })
      .option('slot0', {
        type: 'string',
        demandOption: true,
        describe: 'Image that runs',
      })
      .option('slot1', { type: 'string', describe: 'Image in the other slot' })
      .option('recovery', {
        type: 'string',
        describe: 'Image that runs where no slot may; hardened only',
      })
      .option(
        'key',
        repeatable(`Public key to trust (PEM), at most ${KEY_COUNT_MAX}; hardened only`),
      )
      .option('profile', {
        choices: ['hardened', 'esp-idf'] as const,
        default: 'hardened' as ProfileName,
        describe: 'Bootloader on the chip',
      })
      .option('rollback', {
        type: 'boolean',
        describe: 'esp-idf: APP_ROLLBACK_ENABLE; default: on, --no-rollback',
      })
      .option('anti-rollback', {
        type: 'boolean',
        describe: 'esp-idf: APP_ANTI_ROLLBACK; default: off',
      })
      .option('json', JSON_OPTION)
      .example('$0 flash create --out chip.bin --slot0 app.img --key release.pub.pem', '')
      .example('… --recovery rescue.img --key next.pub.pem', 'with recovery, and two keys')
      .epilogue(
        'Images are written as they are, also those that will not boot: what the bootloader ' +
          'thinks of them is printed.',
      ),
  handler: create,
};

function create(args: CreateArguments): void {
  const stage2 = stage2Of(args);
  const geometry = chipNamed(args.chip);
  const recovery = args.recovery === undefined ? undefined : readImageFile(args.recovery);
  const partitions = planPartitions(geometry, args.profile, recovery?.length);
  const layout = layoutOf(partitions) as FlashLayout;
  const stage2Bytes = writeStage2(stage2, layout.stage2.size);
  const fuses = new Fuses({
    ...BLANK_FUSES,
    secureBoot: args.profile === 'hardened',
    keyDigests: stage2.keys.map((key) => toHex(nodeCrypto.sha256(publicKeyInfo(key)))),
    stage2Digest: toHex(nodeCrypto.sha256(stage2Bytes)),
  });
  const flash = new Flash(geometry, new ContentPool(geometry.sectorSize));
  const { keys } = stage2;
  const machine = { flash, fuses, layout, crypto: nodeCrypto, keys, verdicts: new Map() };
  flash.program(layout.stage2.start, stage2Bytes);
  flash.program(TABLE_OFFSET, createPartitionTable(partitions, nodeCrypto, geometry.size));
  const placed = [
    place(machine, layout.slots[0], 'slot0', args.slot0),
    ...(args.slot1 === undefined ? [] : [place(machine, layout.slots[1], 'slot1', args.slot1)]),
    ...(recovery === undefined
      ? []
      : [place(machine, layout.recovery!, 'recovery', args.recovery!)]),
  ];
  const profile = profileOf(stage2);
  // Stock chips leave the line with an empty otadata, and run their first slot.
  if (args.profile === 'hardened') {
    if (args.slot1 !== undefined) profile.confirm(machine, 1);
    profile.confirm(machine, 0);
  }
  const images = placed.map(({ path, region, slot }) => {
    const verdict = profile.verify(machine, region);
    if (!verdict.ok) return { slot, path, ok: false, reason: verdict.reason };
    const { securityVersion, version } = verdict;
    if (args.profile === 'hardened' && securityVersion > fuses.rollbackCounterMax) {
      const reason = `security counter ${securityVersion}, and ${fuses.rollbackCounterMax} fuses`;
      return { slot, path, ok: false, reason };
    }
    return { slot, path, ok: true, version, securityCounter: securityVersion };
  });
  writeFlashFile(args.out, machine);
  report(args, geometry, images);
}

function stage2Of({
  antiRollback,
  key = [],
  profile,
  recovery,
  rollback,
}: CreateArguments): Stage2 {
  if (profile === 'hardened') {
    if (rollback !== undefined) throw new UsageError('--rollback: with --profile esp-idf only');
    if (antiRollback !== undefined) {
      throw new UsageError('--anti-rollback: with --profile esp-idf only');
    }
    if (key.length === 0) throw new UsageError('--key: the hardened profile needs a trusted key');
    if (key.length > KEY_COUNT_MAX) throw new UsageError(`--key: at most ${KEY_COUNT_MAX} keys`);
  } else {
    if (key.length > 0) throw new UsageError('--key: images of the esp-idf profile are not signed');
    if (recovery !== undefined) throw new UsageError('--recovery: not with --profile esp-idf');
  }
  return {
    profile,
    keys: readPublicKeys(key),
    rollback: rollback ?? profile === 'esp-idf',
    antiRollback: antiRollback ?? false,
  };
}

function chipNamed(name: string): Geometry {
  const known = [W25Q32, W25Q128].find((chip) => chip.name.toLowerCase() === name.toLowerCase());
  if (known !== undefined) return known;
  const size = parseSize(name);
  if (size === undefined) {
    throw new UsageError(`--chip: expected W25Q32, W25Q128 or a size like 512K, got ${name}`);
  }
  return geometryOf(size, '--chip');
}

/** ESP-IDF's usual places; the slots share what the rest leaves. */
function planPartitions(
  { name, size }: Geometry,
  profile: ProfileName,
  recoveryImageSize: number | undefined,
): PartitionRow[] {
  const recoverySize = Math.ceil((recoveryImageSize ?? 0) / APP_ALIGNMENT) * APP_ALIGNMENT;
  const room = Math.max(0, size - APPS_OFFSET - recoverySize);
  const slotSize = Math.floor(room / 2 / APP_ALIGNMENT) * APP_ALIGNMENT;
  if (slotSize === 0) throw new CommandError(`${name}: has no room for two slots`);
  const row = (label: string, type: number, subtype: number, offset: number, bytes: number) => {
    return { name: label, type, subtype, offset, size: bytes, flags: 0 };
  };
  const record = profile === 'hardened' ? 'record' : 'otadata';
  return [
    row('stage2', PARTITION_BOOTLOADER, 0, 0, TABLE_OFFSET),
    row(record, PARTITION_DATA, DATA_OTA, RECORD_OFFSET, RECORD_SIZE),
    row('slot0', PARTITION_APP, APP_OTA_0, APPS_OFFSET, slotSize),
    row('slot1', PARTITION_APP, APP_OTA_0 + 1, APPS_OFFSET + slotSize, slotSize),
    ...(recoverySize === 0
      ? []
      : [row('recovery', PARTITION_APP, APP_FACTORY, APPS_OFFSET + 2 * slotSize, recoverySize)]),
  ];
}

function readImageFile(path: string): Uint8Array {
  const image = readBytes(path);
  if (image.length === 0) throw new CommandError(`${path}: is empty`);
  return image;
}

function place({ flash }: Machine, region: Region, slot: string, path: string) {
  const image = readImageFile(path);
  if (image.length > region.size) {
    const sizes = `${image.length.toLocaleString('en')} bytes, ${slot} has ${formatSize(region.size)}`;
    throw new CommandError(`${path}: does not fit: ${sizes}`);
  }
  flash.program(region.start, image);
  return { slot, path, region };
}

interface PlacedImage {
  readonly slot: string;
  readonly path: string;
  readonly ok: boolean;
  readonly reason?: string;
  readonly version?: string;
  readonly securityCounter?: number;
}

function report(
  { json, out, profile }: CreateArguments,
  { name, size }: Geometry,
  images: readonly PlacedImage[],
): void {
  const fuses = fusesPathOf(out);
  if (json) {
    console.log(
      JSON.stringify({ file: out, fuses, chip: name, size, profile, images }, undefined, 2),
    );
    return;
  }
  console.log(`${out}: ${name}, ${formatSize(size)}, profile ${profile}\n${fuses}: its fuses`);
  for (const { ok, path, reason, securityCounter, slot, version } of images) {
    const verdict = ok
      ? `${version}, security counter ${securityCounter}`
      : `will not boot: ${reason}`;
    console.log(`${slot.padEnd(8)}  ${path}: ${verdict}`);
  }
}
