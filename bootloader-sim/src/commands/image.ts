// `flotilla-boot image`: makes, signs, checks and shows images.

import {
  type Argv,
  type Command,
  CommandError,
  type CommandGroup,
  checkWhole,
  FILE_SIZE_MAX,
  JSON_OPTION,
  readBytes,
  repeatable,
  replaceFile,
  UsageError,
} from '@flotilla/command-line';
import { isSameBytes, toHex } from '@flotilla/sdk/codec/bytes';
import { createEspImage, readEspImage } from '../images/esp-idf.ts';
import {
  type DigestAlgorithm,
  formatVersion,
  type McubootImage,
  parseVersion,
  readImage,
  verifyImage,
} from '../images/mcuboot.ts';
import {
  DEPENDENCY_SIZE,
  ERASED,
  HEADER_SIZE_MIN,
  TLV_HEADER_SIZE,
  TLV_INFO_SIZE,
} from '../images/mcuboot-format.ts';
import { type CreateImageOptions, createImage } from '../images/mcuboot-write.ts';
import { nodeCrypto } from '../node-crypto.ts';
import { formatOf, type ImageFormat, renderImage, reportImage } from './image-report.ts';
import { readPublicKeys, readSigningKey } from './keys.ts';
import { parseSize } from './sizes.ts';

interface CreateArguments {
  payload: string;
  out: string;
  key?: string[];
  version: string;
  securityCounter?: number;
  format: ImageFormat;
  digest?: DigestAlgorithm;
  pure?: boolean;
  headerSize?: string;
  padTo?: string;
  json: boolean;
}

interface SignArguments {
  image: string;
  out: string;
  key: string[];
  version?: string;
  securityCounter?: number;
  padTo?: string;
  json: boolean;
}

interface VerifyArguments {
  file: string;
  key?: string[];
  json: boolean;
}

interface InfoArguments {
  file: string;
  json: boolean;
}

/** The header holds its size in 16 bits. */
const HEADER_SIZE_MAX = 0xffff;
/** esp_chip_id_t of an ESP32-C3, and where its flash is mapped; a simulated chip runs neither. */
const ESP_CHIP_ID = 5;
const ESP_LOAD_ADDRESS = 0x3c000020;
const ESP_ENTRY_ADDRESS = 0x40380000;
const CHIP_REVISION_MAX = 0xffff;

const createCommand: Command<CreateArguments> = {
  command: 'create <payload>',
  describe: 'Make an image of a payload, and sign it',
  builder: (command) => createOptions(command),
  handler: (args) => {
    const payload = readBytes(args.payload);
    const make = args.format === 'mcuboot' ? createMcuboot : createEsp;
    writeImage(
      args,
      orCommandError(args.payload, () => make(args, payload)),
    );
  },
};

const signCommand: Command<SignArguments> = {
  command: 'sign <image>',
  describe: 'Sign an MCUboot image again: another key, version or security counter',
  builder: (command) => signOptions(command),
  handler: (args) => {
    const bytes = readBytes(args.image);
    writeImage(
      args,
      orCommandError(args.image, () => signAgain(args, bytes)),
    );
  },
};

const verifyCommand: Command<VerifyArguments> = {
  command: 'verify <file>',
  describe: 'Check an image: exit code 0 or 1, and one line why',
  builder: (command) =>
    command
      .positional('file', { type: 'string', demandOption: true })
      .option('key', repeatable('Trusted public key (PEM); may be repeated'))
      .option('json', JSON_OPTION)
      .example('$0 image verify app.img --key release.pub.pem', '')
      .epilogue('ESP-IDF images carry no signature: their checksum and digest are checked.'),
  handler: ({ file, json, key = [] }) => {
    const bytes = readBytes(file);
    const result = verify(bytes, key);
    if (json) console.log(JSON.stringify({ file, ...result }, undefined, 2));
    else if (!result.ok) console.log(`${file}: refused: ${result.reason}`);
    else {
      const { keyHash, securityCounter, version } = result;
      const signer = keyHash === undefined ? 'not signed' : `signed by key ${keyHash.slice(0, 16)}`;
      console.log(`${file}: ok, ${version}, security counter ${securityCounter}, ${signer}`);
    }
    process.exitCode = result.ok ? 0 : 1;
  },
};

const infoCommand: Command<InfoArguments> = {
  command: 'info <file>',
  describe: 'Show what an image says of itself; nothing of it is verified',
  builder: (command) =>
    command
      .positional('file', { type: 'string', demandOption: true })
      .option('json', JSON_OPTION)
      .example('$0 image info app.img', ''),
  handler: ({ file, json }) => {
    const result = reportImage(readBytes(file));
    if (!result.ok) throw new CommandError(`${file}: ${result.reason}`);
    if (json) console.log(JSON.stringify({ file, ...result.report }, undefined, 2));
    else console.log(`${file}, not verified\n${renderImage(result.report)}`);
  },
};

export const imageCommand: CommandGroup = {
  name: 'image',
  describe: 'Make, sign, check and show images',
  commands: [createCommand, signCommand, verifyCommand, infoCommand],
};

const SIZE = { type: 'string' } as const;

function createOptions(command: Argv): Argv {
  return outputOptions(command)
    .positional('payload', { type: 'string', demandOption: true, describe: 'What runs' })
    .option('key', repeatable('Private key that signs (PEM); MCUboot images need it'))
    .option('version', {
      type: 'string',
      demandOption: true,
      describe: '1.2.3 or 1.2.3+4',
    })
    .option('format', {
      choices: ['mcuboot', 'esp-idf'] as const,
      default: 'mcuboot' as ImageFormat,
      describe: 'esp-idf: an E9 image with digest, unsigned, for simulated chips',
    })
    .option('digest', {
      choices: ['sha256', 'sha512'] as const,
      describe: 'Of MCUboot images; default: sha256, with --pure sha512',
    })
    .option('pure', { type: 'boolean', describe: 'Sign the image itself, not its digest' })
    .option('header-size', { ...SIZE, describe: 'Header in bytes; default: 32' })
    .example('$0 image create app.bin --out app.img --key release.pem --version 1.2.3', '')
    .example('… --security-counter 7 --pad-to 512K', 'a whole slot, with a rollback version')
    .epilogue('imgtool calls this `sign`.');
}

function signOptions(command: Argv): Argv {
  return outputOptions(command)
    .positional('image', { type: 'string', demandOption: true, describe: 'A whole image' })
    .option('key', { ...repeatable('Private key that signs (PEM)'), demandOption: true })
    .option('version', { type: 'string', describe: 'default: as before' })
    .example('$0 image sign app.img --out rollback.img --key release.pem --version 1.2.4', '')
    .epilogue(
      'The payload and what else the image says stay as they are. What signs a bare payload, ' +
        'and is called `sign` by imgtool, is `image create`.',
    );
}

function outputOptions(command: Argv): Argv {
  return command
    .option('out', {
      type: 'string',
      demandOption: true,
      describe: 'File to write',
    })
    .option('security-counter', {
      type: 'number',
      describe: 'For rollback protection: 0 to 4294967295',
    })
    .option('pad-to', { ...SIZE, describe: 'Fill a slot of this size: 458752, 0x70000, 448K' })
    .option('json', JSON_OPTION);
}

/** What the format's writer refuses is about the arguments or the file, and not a bug. */
function orCommandError<T>(file: string, make: () => T): T {
  try {
    return make();
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new CommandError(`${file}: ${error.message.replace('padTo', '--pad-to')}`);
  }
}

function sizeOf(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const size = parseSize(text);
  if (size === undefined || size > FILE_SIZE_MAX) {
    throw new UsageError(`--${name}: expected a size like 458752, 0x70000 or 448K, got ${text}`);
  }
  return size;
}

/** Exactly one private key. */
function signerOf(keys: readonly string[] = []) {
  const [path, ...more] = keys;
  if (path === undefined) throw new UsageError('--key: an MCUboot image needs the key that signs');
  if (more.length > 0) throw new UsageError('--key: one key signs an image');
  return readSigningKey(path);
}

function headerSizeOf(text: string | undefined): number {
  const size = sizeOf('header-size', text) ?? HEADER_SIZE_MIN;
  if (size >= HEADER_SIZE_MIN && size <= HEADER_SIZE_MAX) return size;
  throw new UsageError(`--header-size: expected ${HEADER_SIZE_MIN} to ${HEADER_SIZE_MAX}`);
}

function versionOf(text: string) {
  const version = parseVersion(text);
  if (version === undefined) throw new UsageError(`--version: expected 1.2.3, got ${text}`);
  return version;
}

function counterOf({ securityCounter }: { readonly securityCounter?: number }) {
  if (securityCounter === undefined) return {};
  checkWhole('security-counter', securityCounter, 0, 0xffffffff);
  return { securityCounter };
}

function createMcuboot(args: CreateArguments, payload: Uint8Array): Uint8Array {
  const { pure = false, digest = pure ? 'sha512' : 'sha256' } = args;
  if (pure && digest !== 'sha512') throw new UsageError('--pure: goes with --digest sha512 only');
  const padTo = sizeOf('pad-to', args.padTo);
  const options: CreateImageOptions = {
    payload,
    version: versionOf(args.version),
    headerSize: headerSizeOf(args.headerSize),
    ...counterOf(args),
    digest,
    pure,
    ...(padTo === undefined ? {} : { padTo }),
  };
  const key = signerOf(args.key);
  return createImage(options, key.publicKey, nodeCrypto, key.sign);
}

function createEsp(args: CreateArguments, payload: Uint8Array): Uint8Array {
  const unused = (['key', 'digest', 'pure', 'headerSize'] as const).find(
    (name) => args[name] !== undefined,
  );
  if (unused !== undefined) {
    const name = unused === 'headerSize' ? 'header-size' : unused;
    throw new UsageError(`--${name}: not with --format esp-idf, whose images are not signed`);
  }
  const data = new Uint8Array(Math.ceil(payload.length / 4) * 4).fill(ERASED);
  data.set(payload);
  const image = createEspImage(
    {
      chipId: ESP_CHIP_ID,
      minChipRevision: 0,
      maxChipRevision: CHIP_REVISION_MAX,
      entryAddress: ESP_ENTRY_ADDRESS,
      secureVersion: counterOf(args).securityCounter ?? 0,
      version: args.version,
      projectName: 'flotilla-boot',
      time: '',
      date: '',
      idfVersion: '',
      elfDigest: nodeCrypto.sha256(payload),
      segments: [{ loadAddress: ESP_LOAD_ADDRESS, data }],
    },
    nodeCrypto,
  );
  const size = sizeOf('pad-to', args.padTo) ?? image.length;
  if (size < image.length) throw new RangeError(`${image.length} bytes do not fit into ${size}`);
  const padded = new Uint8Array(size).fill(ERASED);
  padded.set(image);
  return padded;
}

/** The same payload under another signature; damaged images are refused, not laundered. */
function signAgain(args: SignArguments, bytes: Uint8Array): Uint8Array {
  if (formatOf(bytes) === 'esp-idf') {
    throw new CommandError(`${args.image}: ESP-IDF images carry no signature`);
  }
  const result = readImage(bytes);
  if (!result.ok) throw new CommandError(`${args.image}: ${result.reason}`);
  const { image } = result;
  const digest = nodeCrypto[image.digestAlgorithm](bytes.subarray(0, image.signedEnd));
  if (!isSameBytes(digest, image.digest)) {
    throw new CommandError(`${args.image}: the digest does not match the image`);
  }
  const same = optionsOf(image, bytes);
  const padTo = sizeOf('pad-to', args.padTo);
  const options: CreateImageOptions = {
    ...same,
    ...(args.version === undefined ? {} : { version: versionOf(args.version) }),
    ...counterOf(args),
    ...(padTo === undefined ? {} : { padTo }),
  };
  const key = signerOf(args.key);
  const sign = (message: Uint8Array) => key.sign(message);
  const copy = readImage(createImage(same, key.publicKey, nodeCrypto, sign));
  // What is written again must be what was read: flags and TLVs that we do not know would be lost.
  if (!copy.ok || !isSameBytes(copy.image.digest, image.digest)) {
    throw new CommandError(`${args.image}: holds flags or TLVs that cannot be written again`);
  }
  return createImage(options, key.publicKey, nodeCrypto, sign);
}

function optionsOf(image: McubootImage, bytes: Uint8Array): CreateImageOptions {
  const hasCounter = image.securityCounter > 0 || hasZeroCounter(image);
  return {
    payload: bytes.slice(image.payloadStart, image.payloadEnd),
    version: image.version,
    headerSize: image.headerSize,
    loadAddress: image.loadAddress,
    dependencies: image.dependencies,
    digest: image.digestAlgorithm,
    pure: image.pure,
    ...(hasCounter ? { securityCounter: image.securityCounter } : {}),
  };
}

/** A counter that says 0 shows only in the room that it takes among the protected TLVs. */
function hasZeroCounter({ dependencies, payloadEnd, signedEnd }: McubootImage): boolean {
  const withoutIt = TLV_INFO_SIZE + dependencies.length * (TLV_HEADER_SIZE + DEPENDENCY_SIZE);
  return signedEnd - payloadEnd > withoutIt;
}

function verify(bytes: Uint8Array, keyFiles: readonly string[]) {
  const keys = readPublicKeys(keyFiles);
  if (formatOf(bytes) === 'esp-idf') {
    if (keys.length > 0) {
      return { ok: false, reason: 'an ESP-IDF image, which carries no signature' } as const;
    }
    const result = readEspImage(bytes, nodeCrypto);
    if (!result.ok) return result;
    const { secureVersion, version } = result.image;
    return { ok: true, version, securityCounter: secureVersion, keyHash: undefined } as const;
  }
  if (formatOf(bytes) === 'mcuboot' && keys.length === 0) {
    throw new UsageError('--key: an MCUboot image is checked with the key that is trusted');
  }
  const result = verifyImage(bytes, keys, nodeCrypto);
  if (!result.ok) return result;
  const { keyHash = new Uint8Array(0), securityCounter, version } = result.image;
  return {
    ok: true,
    version: formatVersion(version),
    securityCounter,
    keyHash: toHex(keyHash),
  } as const;
}

function writeImage(args: { readonly out: string; readonly json: boolean }, bytes: Uint8Array) {
  const result = reportImage(bytes);
  if (!result.ok) throw new Error(`wrote an image that cannot be read: ${result.reason}`);
  replaceFile(args.out, bytes);
  const { report } = result;
  if (args.json) {
    console.log(JSON.stringify({ file: args.out, ...report }, undefined, 2));
    return;
  }
  const size = bytes.length.toLocaleString('en');
  const { securityCounter, version } = report;
  console.log(`${args.out}: ${version}, security counter ${securityCounter}, ${size} bytes`);
}
