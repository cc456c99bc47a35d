// What an output can show: colours, lines that are drawn over, and how wide it is. Decided from the
// stream and the environment alone; docs/results.md has the rules for users.

import { WriteStream } from 'node:tty';

/** A terminal, or anything that takes text. */
export interface OutputStream {
  write(text: string): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number;
  readonly rows?: number;
}

export type Environment = Readonly<Record<string, string | undefined>>;

/** Bits of a palette without colours, as Node counts them; the next larger one has four. */
const COLOR_DEPTH_NONE = 1;

/**
 * Whether text on this stream is coloured. By Node's own rules, those of `util.styleText`:
 * FORCE_COLOR decides where it is set, also for a pipe and against NO_COLOR; then NO_COLOR
 * (no-color.org), TERM and what is known of the CI decide for a terminal.
 */
export function hasColor(stream: Pick<OutputStream, 'isTTY'>, env: Environment): boolean {
  if (env.FORCE_COLOR === undefined && stream.isTTY !== true) return false;
  return WriteStream.prototype.getColorDepth.call(stream as WriteStream, env) > COLOR_DEPTH_NONE;
}

/**
 * Whether the cursor may be moved: on a terminal that is not `dumb`, and that somebody looks at,
 * which in CI nobody does. Colours have no say in it.
 */
export function mayRedraw(stream: Pick<OutputStream, 'isTTY'>, env: Environment): boolean {
  return stream.isTTY === true && env.TERM !== 'dumb' && !isCi(env);
}

/** Columns of a terminal; undefined where text may be of any width, or nobody knows. */
export function columnsOf(stream: Pick<OutputStream, 'isTTY' | 'columns'>): number | undefined {
  // A pseudo-terminal without a size says 0.
  return stream.isTTY === true && (stream.columns ?? 0) > 0 ? stream.columns : undefined;
}

function isCi({ CI = '' }: Environment): boolean {
  return CI !== '' && CI !== '0' && CI !== 'false';
}
