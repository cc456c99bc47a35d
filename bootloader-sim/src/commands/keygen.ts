// `flotilla-boot keygen`: a key pair that signs images.

import { generateKeyPairSync } from 'node:crypto';
import type { CommandModule } from 'yargs';
import { publicKeyInfo } from '../images/mcuboot.ts';
import { toHex } from '../machine.ts';
import { nodeCrypto, readPublicKeyPem } from '../node-crypto.ts';
import { CommandError } from './command-error.ts';
import { createFile, exists } from './files.ts';

interface KeygenArguments {
  out: string;
  json: boolean;
}

/** Nobody else may read what signs. */
const PRIVATE_MODE = 0o600;
const PUBLIC_MODE = 0o644;

export const keygenCommand: CommandModule<object, KeygenArguments> = {
  command: 'keygen',
  describe: 'Make an Ed25519 key pair that signs images',
  builder: (command) =>
    command
      .option('out', {
        type: 'string',
        demandOption: true,
        requiresArg: true,
        describe: 'File of the private key (PKCS#8); KEY.pem has KEY.pub.pem beside it',
      })
      .option('json', { type: 'boolean', default: false, describe: 'Print the result as JSON' })
      .example('$0 keygen --out release.pem', 'writes release.pem and release.pub.pem'),
  handler: ({ json, out }) => {
    const publicOut = `${out.replace(/\.pem$/, '')}.pub.pem`;
    // Whoever loses a key by a slip cannot update a device any more.
    for (const path of [out, publicOut]) {
      if (exists(path)) throw new CommandError(`${path}: is there already; it is not overwritten`);
    }
    const { privateKey, publicKey } = generateKeyPairSync('ed25519', {
      privateKeyEncoding: { format: 'pem', type: 'pkcs8' },
      publicKeyEncoding: { format: 'pem', type: 'spki' },
    });
    createFile(out, privateKey, PRIVATE_MODE);
    createFile(publicOut, publicKey, PUBLIC_MODE);
    const digest = toHex(nodeCrypto.sha256(publicKeyInfo(readPublicKeyPem(publicKey))));
    const result = { privateKey: out, publicKey: publicOut, keyDigest: digest };
    if (json) console.log(JSON.stringify(result, undefined, 2));
    else console.log(`${out}: private key, keep it secret\n${publicOut}: its public key`);
  },
};
