// `flotilla-ota inspect`: what an envelope says, whether or not anybody trusts it.

import {
  type Command,
  CommandError,
  columns,
  JSON_OPTION,
  readBytes,
  TEXT_SIZE_MAX,
} from '@flotilla/command-line';
import { toHex } from '@flotilla/sdk/codec/bytes';
import { type EnvelopeContent, EnvelopeError, inspectEnvelope } from '../releases/inspect.ts';
import { formatUuid } from '../releases/uuid.ts';
import { formatCondition } from '../releases/version.ts';

interface InspectArguments {
  envelope: string;
  json: boolean;
}

const MS_PER_S = 1000;
const ALGORITHM_NAMES: Readonly<Record<number, string>> = {
  [-7]: 'ES256',
  [-8]: 'EdDSA',
  [-9]: 'ESP256',
  [-19]: 'Ed25519',
};

export const inspectCommand: Command<InspectArguments> = {
  command: 'inspect <envelope>',
  describe: 'Show what an envelope says; nothing of it is verified',
  builder: (command) =>
    command
      .positional('envelope', { type: 'string', demandOption: true })
      .option('json', JSON_OPTION)
      .example('$0 inspect dist/2.0.0.suit', ''),
  handler: ({ envelope: file, json }) => {
    const report = reportOf(file, readBytes(file, TEXT_SIZE_MAX));
    if (json) console.log(JSON.stringify({ file, ...report }, undefined, 2));
    else console.log(`${file}, not verified\n${render(report)}`);
  },
};

function reportOf(file: string, bytes: Uint8Array) {
  let content: EnvelopeContent;
  try {
    content = inspectEnvelope(bytes);
  } catch (error) {
    if (error instanceof EnvelopeError) throw new CommandError(`${file}: ${error.message}`);
    throw error;
  }
  const { classId, coseAlgorithm, expiresS, requires, vendorId } = content;
  return {
    version: content.version,
    sequence: content.sequence,
    vendorId: vendorId && formatUuid(vendorId),
    classId: classId && formatUuid(classId),
    expires: expiresS === undefined ? undefined : timeOf(expiresS),
    requires: requires && `running version ${formatCondition(requires)}`,
    images: content.images.map(({ digest, size, slot, uri }) => ({
      slot,
      size,
      digest: toHex(digest ?? new Uint8Array(0)),
      uri,
    })),
    manifestDigest: toHex(content.manifestDigest),
    digestMatches: content.digestMatches,
    algorithm: ALGORITHM_NAMES[coseAlgorithm] ?? String(coseAlgorithm),
    size: content.size,
  };
}

type Report = ReturnType<typeof reportOf>;

/** Lines of `name  value`. */
function render({ images, ...report }: Report): string {
  const rows: (readonly [string, string])[] = Object.entries(report)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => [name, show(value)]);
  for (const { digest, size, slot } of images) {
    const bytes = size?.toLocaleString('en') ?? 'unknown';
    rows.push([`image ${slot ?? ''}`.trim(), `sha256 ${digest}, ${bytes} bytes`]);
  }
  return columns(rows, 2).join('\n');
}

function show(value: unknown): string {
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  return String(value);
}

/** As ISO 8601, or the number where it is beyond what a Date holds. */
function timeOf(seconds: number): string {
  const date = new Date(seconds * MS_PER_S);
  return Number.isNaN(date.getTime()) ? String(seconds) : date.toISOString();
}
