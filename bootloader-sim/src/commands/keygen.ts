// `flotilla-boot keygen`: a key pair that signs images.

import { type Command, createKeyFiles, JSON_OPTION } from '@flotilla/command-line';
import { toHex } from '@flotilla/sdk/codec/bytes';
import { publicKeyInfo } from '../images/mcuboot.ts';
import { nodeCrypto, readPublicKeyPem } from '../node-crypto.ts';

interface KeygenArguments {
  out: string;
  json: boolean;
}

export const keygenCommand: Command<KeygenArguments> = {
  command: 'keygen',
  describe: 'Make an Ed25519 key pair that signs images',
  builder: (command) =>
    command
      .option('out', {
        type: 'string',
        demandOption: true,
        describe: 'File of the private key (PKCS#8); KEY.pem has KEY.pub.pem beside it',
      })
      .option('json', JSON_OPTION)
      .example('$0 keygen --out release.pem', 'writes release.pem and release.pub.pem'),
  handler: ({ json, out }) => {
    const publicOut = `${out.replace(/\.pem$/, '')}.pub.pem`;
    const publicKey = createKeyFiles({ privateKey: out, publicKey: publicOut }, 'ed25519');
    const digest = toHex(nodeCrypto.sha256(publicKeyInfo(readPublicKeyPem(publicKey))));
    const result = { privateKey: out, publicKey: publicOut, keyDigest: digest };
    if (json) console.log(JSON.stringify(result, undefined, 2));
    else console.log(`${out}: private key, keep it secret\n${publicOut}: its public key`);
  },
};
