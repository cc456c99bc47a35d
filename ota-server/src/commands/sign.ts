// `flotilla-ota sign`: makes a release of a firmware. Offline: it reads and writes files.

import { join } from 'node:path';
import {
  type Argv,
  type Command,
  CommandError,
  checkWhole,
  createFile,
  exists,
  JSON_OPTION,
  makeFolder,
  readBytes,
  repeatable,
  replaceFile,
  UsageError,
} from '@flotilla/command-line';
import { isSameBytes, toHex } from '@flotilla/sdk/codec/bytes';
import { DELTA_IMAGE_SIZE_MAX } from '../releases/delta.ts';
import { type ReleaseKey, trustedKey } from '../releases/keys.ts';
import {
  createBootImage,
  isBootImage,
  readBootImage,
  signBootImageAgain,
} from '../releases/mcuboot.ts';
import type { VersionCondition } from '../releases/release.ts';
import { type SignedRelease, type SignOptions, signRelease } from '../releases/sign.ts';
import { classIdOf, vendorIdOf } from '../releases/uuid.ts';
import { compareVersions, parseVersion } from '../releases/version.ts';
import { highestSequence, readBases, readEarlier } from './earlier.ts';
import { parseExpiry } from './expiry.ts';
import { readSigningKey } from './keys.ts';

interface SignArguments {
  firmware: string;
  slot1?: string;
  version: string;
  securityCounter?: number;
  sequence?: number;
  vendor: string;
  class: string;
  key: string[];
  imageKey?: string;
  expires?: string;
  minVersion?: string;
  from?: string[];
  rollbackTo?: string;
  out: string;
  json: boolean;
}

/** What both the release and its rollback are made with. */
interface Signing {
  readonly key: ReleaseKey;
  /** Of the bootloader; absent where the images are taken as they are. */
  readonly imageKey: ReleaseKey | undefined;
  readonly securityCounter: number | undefined;
}

type Images = SignOptions['images'];

interface Output {
  /** Of the envelope. */
  readonly name: string;
  readonly options: SignOptions;
  readonly signed: SignedRelease;
}

const U32_MAX = 0xffffffff;
const MS_PER_S = 1000;

export const signCommand: Command<SignArguments> = {
  command: 'sign <firmware>',
  describe: 'Make a release: image, signed envelope, and deltas from earlier releases',
  builder: (command) => signOptions(command),
  handler: (args) => {
    const nowS = Math.floor(Date.now() / MS_PER_S);
    const [keyFile, ...more] = args.key;
    if (keyFile === undefined || more.length > 0) throw new UsageError('--key: one key signs');
    const signing: Signing = {
      key: readSigningKey(keyFile),
      imageKey: args.imageKey === undefined ? undefined : readImageKey(args.imageKey),
      securityCounter: counterOf(args),
    };
    const outputs = makeReleases(args, signing, nowS);
    writeOutputs(args.out, outputs);
    if (args.json) console.log(JSON.stringify(reportOf(args.out, outputs), undefined, 2));
    else console.log(outputs.map((output) => render(args.out, output)).join('\n'));
  },
};

function signOptions(command: Argv): Argv {
  const text = { type: 'string' } as const;
  const number = { type: 'number' } as const;
  return command
    .positional('firmware', { type: 'string', demandOption: true, describe: 'What devices run' })
    .option('slot1', { ...text, describe: 'Another one for slot 1, where code runs in place' })
    .option('version', { ...text, demandOption: true, describe: 'major.minor.patch' })
    .option('security-counter', { ...number, describe: 'Of the boot image; never falls' })
    .option('sequence', {
      ...number,
      describe: 'Devices refuse lower ones; default: Unix time, above those in OUT',
    })
    .option('vendor', { ...text, demandOption: true, describe: 'Domain name, or UUID' })
    .option('class', { ...text, demandOption: true, describe: 'Name of the product, or UUID' })
    .option('key', {
      ...repeatable('Private key (PEM) that signs the envelope'),
      demandOption: true,
    })
    .option('image-key', {
      ...text,
      describe: 'Private key (PEM) of the bootloader: wraps the firmware into an MCUboot image',
    })
    .option('expires', { ...text, describe: '30d, 12h, 4w, or 2027-01-31; default: never' })
    .option('min-version', { ...text, describe: 'Only for devices that run this or later' })
    .option(
      'from',
      repeatable('Earlier release (version, envelope or image) to make a delta from; repeatable'),
    )
    .option('rollback-to', {
      ...text,
      describe: 'Earlier release (version or envelope) to go back to if this one is bad',
    })
    .option('out', { ...text, default: 'dist', describe: 'Folder of the releases' })
    .option('json', JSON_OPTION)
    .example(
      '$0 sign app.bin --version 1.0.0 --security-counter 1 --vendor example.com --class sensor ' +
        '--key release.pem --image-key boot.pem',
      'writes dist/1.0.0.suit and its image',
    )
    .example(
      '… --version 2.0.0 --from 1.0.0 --rollback-to 1.0.0',
      'with a delta, and a signed way back',
    )
    .epilogue(
      'Without --image-key the firmware is taken as it is: opaque, or signed by imgtool before.',
    );
}

/** The release, and the rollback release where one is wanted. */
function makeReleases(args: SignArguments, signing: Signing, nowS: number): Output[] {
  const { rollbackTo, version } = args;
  if (parseVersion(version) === undefined) {
    throw new UsageError(`--version: expected 1.2.3, got ${version}`);
  }
  const vendorId = vendorIdOf(args.vendor);
  const options: SignOptions = {
    sequence: sequenceOf(args, signing, nowS),
    version,
    vendorId,
    classId: classIdOf(vendorId, args.class),
    ...expiryOf(args, nowS),
    ...requirementOf(args),
    images: imagesOf(args, signing),
    bases: readBases(args.from ?? [], args.out, [trustedKey(signing.key)]),
  };
  const release = makeOutput(`${version}.suit`, options, signing);
  if (rollbackTo === undefined) return [release];
  const back = rollbackOptions(rollbackTo, args.out, options, signing);
  return [release, makeOutput(`${version}-rollback-to-${back.version}.suit`, back, signing)];
}

function makeOutput(name: string, options: SignOptions, { key }: Signing): Output {
  const signed = orCommandError(name, () => signRelease(options, key));
  return { name, options, signed };
}

/** What the writers refuse is about the arguments or the files, and not a bug. */
function orCommandError<T>(name: string, make: () => T): T {
  try {
    return make();
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new CommandError(`${name}: ${error.message}`);
  }
}

function imagesOf({ firmware, slot1, version }: SignArguments, signing: Signing): Images {
  const first = imageOf(firmware, version, signing);
  return slot1 === undefined ? [first] : [first, imageOf(slot1, version, signing)];
}

function imageOf(path: string, version: string, { imageKey, securityCounter }: Signing) {
  const bytes = readBytes(path);
  if (bytes.length === 0) throw new CommandError(`${path}: is empty`);
  if (imageKey !== undefined) {
    if (isBootImage(bytes)) {
      throw new CommandError(`${path}: is an MCUboot image already; leave out --image-key`);
    }
    return orCommandError(path, () => {
      return createBootImage(bytes, version, securityCounter ?? 0, imageKey);
    });
  }
  if (isBootImage(bytes)) checkBootImage(path, bytes, version, securityCounter);
  return bytes;
}

/** An image that was signed before says a version of its own, and devices report that one. */
function checkBootImage(
  path: string,
  bytes: Uint8Array,
  version: string,
  counter: number | undefined,
): void {
  const image = orCommandError(path, () => readBootImage(bytes));
  if (image.version.replace(/\+.*$/, '') !== version) {
    throw new CommandError(`${path}: is an image of version ${image.version}, not ${version}`);
  }
  if (counter !== undefined && counter !== image.securityCounter) {
    const found = `its security counter is ${image.securityCounter}, not ${counter}`;
    throw new CommandError(`${path}: ${found}; sign it with --image-key`);
  }
}

/**
 * The release that takes `options` back: the images of an earlier one, signed again where the
 * security counter would refuse them, with the next sequence, for devices that run the new version.
 */
function rollbackOptions(
  name: string,
  folder: string,
  options: SignOptions,
  signing: Signing,
): SignOptions {
  const { images, release } = readEarlier(name, folder, [trustedKey(signing.key)]);
  if (compareVersions(release.version, options.version) >= 0) {
    throw new CommandError(
      `--rollback-to: ${release.version} is not older than ${options.version}`,
    );
  }
  const isSame =
    isSameBytes(release.vendorId, options.vendorId) &&
    isSameBytes(release.classId, options.classId);
  if (!isSame) throw new CommandError(`--rollback-to: ${name} is for another vendor or class`);
  const { bases: _, requires: __, ...same } = options;
  return {
    ...same,
    version: release.version,
    sequence: options.sequence + 1,
    requires: { comparison: 'equal', version: options.version },
    images: images.map((bytes) => signAgain(name, bytes, signing)) as unknown as Images,
    // Devices run the new one; above the limit the full image alone takes them back.
    bases: options.images.filter(({ length }) => length <= DELTA_IMAGE_SIZE_MAX),
  };
}

function signAgain(name: string, bytes: Uint8Array, { imageKey, securityCounter }: Signing) {
  if (!isBootImage(bytes)) return bytes;
  return orCommandError(`--rollback-to ${name}`, () => {
    if (imageKey !== undefined) return signBootImageAgain(bytes, securityCounter ?? 0, imageKey);
    const { securityCounter: counter } = readBootImage(bytes);
    if (counter >= (securityCounter ?? Number.POSITIVE_INFINITY)) return bytes;
    throw new RangeError(
      `its security counter is ${counter}: it needs --image-key and --security-counter, or no ` +
        'bootloader would take it back',
    );
  });
}

function readImageKey(path: string): ReleaseKey {
  const key = readSigningKey(path);
  if (key.algorithm === 'ed25519') return key;
  throw new CommandError(`${path}: the bootloader checks Ed25519 signatures only`);
}

function counterOf({ imageKey, securityCounter }: SignArguments): number | undefined {
  if (securityCounter === undefined) {
    if (imageKey === undefined) return undefined;
    throw new UsageError('--security-counter: needed with --image-key');
  }
  checkWhole('security-counter', securityCounter, 0, U32_MAX);
  return securityCounter;
}

/**
 * By default the time, which rises without anybody keeping count; but above all releases in the
 * folder, or one of the same second could be played back over this one.
 */
function sequenceOf({ out, rollbackTo, sequence }: SignArguments, { key }: Signing, nowS: number) {
  const highest = highestSequence(out, [trustedKey(key)]);
  if (sequence !== undefined && sequence <= highest) {
    throw new UsageError(`--sequence: ${out} holds a release with ${highest}; expected more`);
  }
  // A rollback takes the next one.
  const max = rollbackTo === undefined ? U32_MAX : U32_MAX - 1;
  const next = sequence ?? Math.max(nowS, highest + 1);
  checkWhole('sequence', next, 0, max);
  return next;
}

function expiryOf({ expires }: SignArguments, nowS: number): { expiresS?: number } {
  if (expires === undefined) return {};
  const expiresS = parseExpiry(expires, nowS);
  if (expiresS === undefined || expiresS <= nowS || expiresS > U32_MAX) {
    throw new UsageError(`--expires: expected 30d, 12h, 4w or a day to come, got ${expires}`);
  }
  return { expiresS };
}

function requirementOf({ minVersion }: SignArguments): { requires?: VersionCondition } {
  if (minVersion === undefined) return {};
  if (parseVersion(minVersion) === undefined) {
    throw new UsageError(`--min-version: expected 1.2.3, got ${minVersion}`);
  }
  return { requires: { comparison: 'greater-equal', version: minVersion } };
}

/** The envelope comes last: what it names is there by then. */
function writeOutputs(folder: string, outputs: readonly Output[]): void {
  makeFolder(folder);
  for (const { name } of outputs) {
    const path = join(folder, name);
    // Two releases of one version could not be told apart.
    if (exists(path)) throw new CommandError(`${path}: is there already; it is not overwritten`);
  }
  for (const { name, signed } of outputs) {
    for (const file of [...signed.images, ...signed.deltas]) {
      replaceFile(join(folder, file.name), file.bytes);
    }
    createFile(join(folder, name), signed.envelope);
  }
}

function reportOf(folder: string, outputs: readonly Output[]) {
  const [release, rollback] = outputs.map(({ name, options, signed }) => ({
    envelope: join(folder, name),
    version: options.version,
    sequence: options.sequence,
    size: signed.envelope.length,
    images: signed.images.map((file) => ({
      file: join(folder, file.name),
      size: file.bytes.length,
    })),
    deltas: signed.deltas.map((file) => ({
      file: join(folder, file.name),
      size: file.bytes.length,
      base: toHex(file.base),
    })),
  }));
  return { ...release, ...(rollback === undefined ? {} : { rollback }) };
}

function render(folder: string, { name, options, signed }: Output): string {
  const bytes = ({ length }: Uint8Array) => `${length.toLocaleString('en')} bytes`;
  const { requires, sequence, version } = options;
  const only = requires?.comparison === 'equal' ? `, for devices that run ${requires.version}` : '';
  const size = bytes(signed.envelope);
  return [
    `${join(folder, name)}: ${version}, sequence ${sequence}, ${size}${only}`,
    ...signed.images.map((file) => `${join(folder, file.name)}: image, ${bytes(file.bytes)}`),
    ...signed.deltas.map((file) => `${join(folder, file.name)}: delta, ${bytes(file.bytes)}`),
  ].join('\n');
}
