// `flotilla-ota keygen`: a key pair that signs releases.

import type { CommandModule } from 'yargs';
import { generateKeys, keyName, readPublicKeyPem } from '../releases/keys.ts';
import { CommandError } from './command-error.ts';
import { createFile, exists } from './files.ts';

interface KeygenArguments {
  name: string;
  es256: boolean;
  json: boolean;
}

/** Nobody else may read what signs. */
const PRIVATE_MODE = 0o600;
const PUBLIC_MODE = 0o644;

export const keygenCommand: CommandModule<object, KeygenArguments> = {
  command: 'keygen <name>',
  describe: 'Make a key pair that signs releases',
  builder: (command) =>
    command
      .positional('name', {
        type: 'string',
        demandOption: true,
        describe: 'NAME.pem is the private key (PKCS#8), NAME.pub.pem the public one',
      })
      .option('es256', {
        type: 'boolean',
        default: false,
        describe: 'ECDSA on P-256, for devices whose hardware checks that; default: Ed25519',
      })
      .option('json', { type: 'boolean', default: false, describe: 'Print the result as JSON' })
      .example('$0 keygen release', 'writes release.pem and release.pub.pem'),
  handler: ({ es256, json, name }) => {
    const base = name.replace(/\.pem$/, '');
    const privateKey = `${base}.pem`;
    const publicKey = `${base}.pub.pem`;
    // Whoever loses a key by a slip cannot update a device any more.
    for (const path of [privateKey, publicKey]) {
      if (exists(path)) throw new CommandError(`${path}: is there already; it is not overwritten`);
    }
    const algorithm = es256 ? 'es256' : 'ed25519';
    const { privatePem, publicPem } = generateKeys(algorithm);
    createFile(privateKey, privatePem, PRIVATE_MODE);
    createFile(publicKey, publicPem, PUBLIC_MODE);
    const id = keyName(readPublicKeyPem(publicPem));
    if (json) {
      console.log(JSON.stringify({ privateKey, publicKey, algorithm, id }, undefined, 2));
      return;
    }
    console.log(`${privateKey}: private key, keep it secret`);
    console.log(`${publicKey}: its public key, ${id}`);
  },
};
