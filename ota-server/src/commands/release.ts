// `flotilla-ota release`: releases at a server.

import { dirname, join } from 'node:path';
import {
  type Command,
  CommandError,
  type CommandGroup,
  exists,
  filesIn,
  readBytes,
  TEXT_SIZE_MAX,
} from '@flotilla/command-line';
import { ApiClient, type ServerArguments, serverOptions } from './api-client.ts';

interface AddArguments extends ServerArguments {
  envelope: string;
  deltaFrom?: string;
}

interface ReleaseView {
  readonly id: string;
  readonly version: string;
  readonly sequence: number;
  readonly ready: boolean;
  readonly rollbackFrom?: string;
  readonly images: readonly { readonly name: string; readonly size: number }[];
  readonly deltas: readonly { readonly base: string; readonly size: number }[];
}

const BYTES = 'application/octet-stream';

const addCommand: Command<AddArguments> = {
  command: 'add <envelope>',
  describe: 'Upload a signed release: envelope, image, and the deltas beside it',
  builder: (command) =>
    serverOptions(
      command
        .positional('envelope', {
          type: 'string',
          demandOption: true,
          describe: 'As sign wrote it',
        })
        .option('delta-from', {
          type: 'string',
          describe: 'Earlier release (id or version) that the server makes a delta from',
        })
        .example('$0 release add dist/2.0.0.suit', 'with its image and deltas in dist')
        .example('$0 release add dist/2.0.0.suit --delta-from 1.0.0', ''),
    ),
  handler: add,
};

async function add({ deltaFrom, envelope: file, ...server }: AddArguments): Promise<void> {
  const client = new ApiClient(server);
  const envelope = readBytes(file, TEXT_SIZE_MAX);
  const folder = dirname(file);
  const posted = await client.send('POST', '/v1/releases', 'application/cbor', envelope);
  let release = posted as ReleaseView;
  const at = `/v1/releases/${encodeURIComponent(release.id)}`;
  for (const { name } of release.images) {
    const image = join(folder, name);
    if (!exists(image)) {
      // The bytes may be there already: those of an earlier release, in a rollback.
      if (release.ready) continue;
      throw new CommandError(`${image}: no such file; put the image beside its envelope`);
    }
    const bytes = readBytes(image);
    release = (await client.send('PUT', `${at}/image`, BYTES, bytes)) as ReleaseView;
    const prefix = `${name.slice(0, 64)}-from-`;
    const isDelta = (other: string) => other.startsWith(prefix) && other.endsWith('.delta');
    for (const delta of filesIn(folder).filter(isDelta)) {
      const content = readBytes(join(folder, delta));
      release = (await client.send('POST', `${at}/deltas`, BYTES, content)) as ReleaseView;
    }
  }
  if (deltaFrom !== undefined) {
    await client.post(`${at}/deltas/from/${encodeURIComponent(deltaFrom)}`);
  }
  if (server.json) console.log(JSON.stringify(release, undefined, 2));
  else console.log(`added ${line(release)}`);
}

const listCommand: Command<ServerArguments> = {
  command: 'list',
  describe: 'List the releases of a server',
  builder: (command) =>
    serverOptions(command).example('$0 release list --json', 'for a machine that reads it'),
  handler: async (args) => {
    const answer = (await new ApiClient(args).get('/v1/releases')) as { releases: ReleaseView[] };
    if (args.json) console.log(JSON.stringify(answer.releases, undefined, 2));
    else if (answer.releases.length === 0) console.log('no releases');
    for (const release of args.json ? [] : answer.releases) console.log(line(release));
  },
};

function line({ deltas, id, images, ready, rollbackFrom, sequence }: ReleaseView): string {
  const size = images.map((image) => image.size.toLocaleString('en')).join(' and ');
  const parts = [`${id}: sequence ${sequence}, ${size} bytes`];
  if (deltas.length > 0) parts.push(`${deltas.length} deltas`);
  if (rollbackFrom !== undefined) parts.push(`takes ${rollbackFrom} back`);
  if (!ready) parts.push('its image is missing');
  return parts.join(', ');
}

export const releaseCommand: CommandGroup = {
  name: 'release',
  describe: 'Releases at a server',
  commands: [addCommand, listCommand],
};
