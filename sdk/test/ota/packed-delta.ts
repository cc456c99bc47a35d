// A small delta that zlib has deflated, for where there is no zlib: simpleDelta(RUNNING, PACKED_TARGET)
// of ./delta-file.ts, level 9, a window of 1 KB. Its second chunk has a Huffman code of its own
// (Z_HUFFMAN_ONLY), the others the fixed one.

import { RUNNING } from '../support/update-scene.ts';
import type { TestImage } from '../support/virtual-firmware.ts';

export const PACKED_TARGET: TestImage = {
  version: '2.0.0',
  bytes: RUNNING.bytes.map((byte, at) => (at % 4096 < 400 ? 97 + ((at * at) % 23) : byte)),
};

const BASE_64 =
  'RkRMMSBOAAAgTgAAu/oQ/WFTIj+JIAzDK3xhg7GTQWdLSw6UAra3nCG5YXMFAAAAAAAAAAAAAAAvAAAAABAAACcBAAAA' +
  'IAAAYAEAAAAwAACQAQAAAEAAAGrjTExKzSpMzkspzs1MT8/MLU7JSy7MSk0aFYYLTxZi2MRMV2tfs+0pBgAAAP//BMG9' +
  'bZABDATQjyIN2YIiy6RkAv9cLFuypdONkX2oUmUFRmEB3vt+wTAutV3Vq7zgwM0xjEttV/UqLzhwcwzjUttVvcoLDtwc' +
  'w7jUdlWv8oIDN8cwLrVd1au84MDNMYxLbVf1Ki84cHMM41LbVb3KCw7cHMO41HZVr/I+X583Dtwcw/j9/EptV/Xq/fm4' +
  '4MDNMYxLbVf1Ki/498fz5wVujmFcaruqV3nBgZtjGJfarupVXnDg5hjGpbarepUXHLg5hnGp7ape5QUHbo5hXGq7qld5' +
  'wYGbYxiX2q7qVV5w4OYYxqW2q3qVFxy4OYZxqe1/P7/0HwAA//+6xlGYnJdSnJuZnp6ZW5ySl1yYlZqUmJSaNcKFNwsy' +
  'nGKigfmzWRn4QDLKDHWEtDQz7SkGAAAA///ax5yXUpybmZ6emVuckpdcmJWalJiUmlWYTDPhZnaGXxw0NH84CP8W3FMM' +
  'AAAA//+7xlKcm5menplbnJKXXJiVmpSYlJpVmJyXMsDCmzkZHrEPGtfQW/g0/54UAA==';

export const PACKED_DELTA = new Uint8Array(Buffer.from(BASE_64, 'base64'));
