// `flotilla-ota inspect`: what an envelope says, whether or not anybody trusts it.

import type { CommandModule } from 'yargs';
import { type EnvelopeContent, EnvelopeError, inspectEnvelope } from '../releases/inspect.ts';
import { formatUuid } from '../releases/uuid.ts';
import { formatCondition } from '../releases/version.ts';
import { CommandError } from './command-error.ts';
import { readBytes, SMALL_SIZE_MAX } from './files.ts';

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

export const inspectCommand: CommandModule<object, InspectArguments> = {
  command: 'inspect <envelope>',
  describe: 'Show what an envelope says; nothing of it is verified',
  builder: (command) =>
    command
      .positional('envelope', { type: 'string', demandOption: true })
      .option('json', { type: 'boolean', default: false, describe: 'Print the result as JSON' })
      .example('$0 inspect dist/2.0.0.suit', ''),
  handler: ({ envelope: file, json }) => {
    const report = reportOf(file, readBytes(file, SMALL_SIZE_MAX));
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
      digest: hex(digest),
      uri,
    })),
    manifestDigest: hex(content.manifestDigest),
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
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, value]) => `${name.padEnd(width)}  ${value}`).join('\n');
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

function hex(bytes: Uint8Array | undefined): string {
  return Buffer.from(bytes ?? []).toString('hex');
}
