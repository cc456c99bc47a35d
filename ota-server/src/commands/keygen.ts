// `flotilla-ota keygen`: a key pair that signs releases.

import { type Command, createKeyFiles, JSON_OPTION } from '@flotilla/command-line';
import { keyName, readPublicKeyPem } from '../releases/keys.ts';

interface KeygenArguments {
  name: string;
  es256: boolean;
  json: boolean;
}

export const keygenCommand: Command<KeygenArguments> = {
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
      .option('json', JSON_OPTION)
      .example('$0 keygen release', 'writes release.pem and release.pub.pem'),
  handler: ({ es256, json, name }) => {
    const base = name.replace(/\.pem$/, '');
    const privateKey = `${base}.pem`;
    const publicKey = `${base}.pub.pem`;
    const algorithm = es256 ? 'es256' : 'ed25519';
    const publicPem = createKeyFiles({ privateKey, publicKey }, algorithm);
    const id = keyName(readPublicKeyPem(publicPem));
    if (json) {
      console.log(JSON.stringify({ privateKey, publicKey, algorithm, id }, undefined, 2));
      return;
    }
    console.log(`${privateKey}: private key, keep it secret`);
    console.log(`${publicKey}: its public key, ${id}`);
  },
};
