// Releases: envelopes written, signed, read and checked.

export { generateKeys, KeyError } from '@flotilla/command-line/keys';
export { type EnvelopeImage, type EnvelopeOptions, imageName, writeEnvelope } from './envelope.ts';
export {
  type EnvelopeContent,
  EnvelopeError,
  inspectEnvelope,
  readRelease,
} from './inspect.ts';
export {
  keyName,
  type ReleaseKey,
  readPrivateKeyPem,
  readPublicKeyPem,
  trustedKey,
} from './keys.ts';
export { messageOf } from './messages.ts';
export type { Release, ReleaseImage, ReleaseResult, VersionCondition } from './release.ts';
export { deltaName, type SignedRelease, type SignOptions, signRelease } from './sign.ts';
export { classIdOf, formatUuid, parseUuid, vendorIdOf } from './uuid.ts';
