// `flotilla-ota verify`: would a device take this envelope?

import {
  type Command,
  JSON_OPTION,
  readBytes,
  repeatable,
  TEXT_SIZE_MAX,
} from '@flotilla/command-line';
import { isSameBytes } from '@flotilla/sdk/codec/bytes';
import { readRelease } from '../releases/inspect.ts';
import { keyName } from '../releases/keys.ts';
import type { Release } from '../releases/release.ts';
import { sha256 } from '../releases/sign.ts';
import { readTrustedKeys } from './keys.ts';

interface VerifyArguments {
  envelope: string;
  key: string[];
  image?: string;
  json: boolean;
}

const MS_PER_S = 1000;

type Verdict =
  | { readonly ok: true; readonly release: Release; readonly signer: string }
  | { readonly ok: false; readonly reason: string; readonly message: string };

export const verifyCommand: Command<VerifyArguments> = {
  command: 'verify <envelope>',
  describe: 'Check an envelope: exit code 0 or 1, and one line why',
  builder: (command) =>
    command
      .positional('envelope', { type: 'string', demandOption: true })
      .option('key', {
        ...repeatable('Trusted public key (PEM); may be repeated'),
        demandOption: true,
      })
      .option('image', {
        type: 'string',
        describe: 'Check that it is an image of this release',
      })
      .option('json', JSON_OPTION)
      .example('$0 verify dist/2.0.0.suit --key release.pub.pem', ''),
  handler: ({ envelope: file, image, json, key }) => {
    const verdict = judge(readBytes(file, TEXT_SIZE_MAX), key, image);
    if (json) {
      const { ok } = verdict;
      const found = ok
        ? { version: verdict.release.version, sequence: verdict.release.sequence }
        : { reason: verdict.reason, message: verdict.message };
      const signer = ok ? { signer: verdict.signer } : {};
      console.log(JSON.stringify({ file, ok, ...found, ...signer }, undefined, 2));
    } else if (verdict.ok) {
      const { sequence, version } = verdict.release;
      const signer = `signed by key ${verdict.signer}`;
      console.log(`${file}: ok, ${version}, sequence ${sequence}, ${signer}`);
    } else {
      console.log(`${file}: refused: ${verdict.message} (${verdict.reason})`);
    }
    process.exitCode = verdict.ok ? 0 : 1;
  },
};

function judge(bytes: Uint8Array, keyFiles: readonly string[], image: string | undefined): Verdict {
  const keys = readTrustedKeys(keyFiles);
  const content = image === undefined ? undefined : readBytes(image);
  const result = readRelease(bytes, keys);
  if (!result.ok) return result;
  const { release } = result;
  if (release.expiresS !== 0 && release.expiresS * MS_PER_S <= Date.now()) {
    const when = new Date(release.expiresS * MS_PER_S).toISOString();
    return { ok: false, reason: 'expired', message: `the release has expired on ${when}` };
  }
  if (content !== undefined && !hasImage(release, content)) {
    const message = `${image} is no image of ${release.version}`;
    return { ok: false, reason: 'wrong-image', message };
  }
  const signer = keys.find((trusted) => readRelease(bytes, [trusted]).ok)!;
  return { ok: true, release, signer: keyName(signer) };
}

function hasImage({ images }: Release, bytes: Uint8Array): boolean {
  const digest = sha256(bytes);
  return images.some((image) => {
    return image.size === bytes.length && isSameBytes(image.digest, digest);
  });
}
