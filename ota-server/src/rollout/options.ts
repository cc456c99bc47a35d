// Options as they come from people: every mistake at once, with its path.

import { ATTEMPT_MAX, WAVES_MAX } from './model.ts';

type Fields = Readonly<Record<string, unknown>>;

/** Longest time that an option may name, ms: ten years. */
const TIME_MS_MAX = 315_360_000_000;

/** Every mistake, as `waves[1].percent: expected 1-100, got 0`; none = these are RolloutOptions. */
export function checkOptions(options: unknown): string[] {
  if (!isFields(options)) return ['options: expected an object'];
  const mistakes: string[] = [];
  for (const name of ['rollout', 'salt', 'release']) text(mistakes, options, name, true);
  text(mistakes, options, 'rollbackRelease', false);
  integer(mistakes, options, '', 'offerTimeoutMs', 1, TIME_MS_MAX);
  integer(mistakes, options, '', 'attemptsMax', 1, ATTEMPT_MAX);
  integer(mistakes, options, '', 'retryDelayMs', 0, TIME_MS_MAX);
  const { retryDelayMs } = options;
  const delayMin = typeof retryDelayMs === 'number' ? retryDelayMs : 0;
  integer(mistakes, options, '', 'retryDelayMsMax', delayMin, TIME_MS_MAX);
  integer(mistakes, options, '', 'abnormalResetsMax', 0, Number.MAX_SAFE_INTEGER);
  integer(mistakes, options, '', 'silenceMsMax', 1, TIME_MS_MAX);
  if (options.onFailure !== 'stop' && options.onFailure !== 'roll-back') {
    mistakes.push(`onFailure: expected stop or roll-back, got ${shown(options.onFailure)}`);
  }
  checkWaves(mistakes, options.waves);
  return mistakes;
}

function checkWaves(mistakes: string[], waves: unknown): void {
  if (!Array.isArray(waves) || waves.length < 1 || waves.length > WAVES_MAX) {
    const got = Array.isArray(waves) ? `${waves.length}` : shown(waves);
    mistakes.push(`waves: expected 1-${WAVES_MAX} waves, got ${got}`);
    return;
  }
  let percentBefore = 0;
  waves.forEach((wave: unknown, index) => {
    const path = `waves[${index}]`;
    if (!isFields(wave)) {
      mistakes.push(`${path}: expected an object, got ${shown(wave)}`);
      return;
    }
    const isLast = index === waves.length - 1;
    checkWave(mistakes, wave, path, isLast);
    const { percent } = wave;
    const isNumber = typeof percent === 'number';
    if (!isNumber || !(percent > percentBefore && percent <= 100)) {
      const expected = `more than ${percentBefore} and at most 100 (waves are cumulative)`;
      mistakes.push(`${path}.percent: expected ${expected}, got ${shown(percent)}`);
    } else if (isLast && percent !== 100) {
      mistakes.push(`${path}.percent: expected 100 in the last wave, got ${percent}`);
    }
    if (isNumber && percent > percentBefore) percentBefore = percent;
  });
}

function checkWave(mistakes: string[], wave: Fields, path: string, isLast: boolean): void {
  integer(mistakes, wave, `${path}.`, 'soakMs', 0, TIME_MS_MAX);
  integer(mistakes, wave, `${path}.`, 'sampleMin', 1, Number.MAX_SAFE_INTEGER);
  for (const name of ['failureRatioMax', 'successRatioMin']) {
    const value = wave[name];
    if (typeof value === 'number' && value >= 0 && value <= 1) continue;
    mistakes.push(`${path}.${name}: expected 0-1, got ${shown(value)}`);
  }
  if (wave.approval !== undefined && typeof wave.approval !== 'boolean') {
    mistakes.push(`${path}.approval: expected true or false, got ${shown(wave.approval)}`);
  }
  if (wave.spreadMs === undefined) return;
  integer(mistakes, wave, `${path}.`, 'spreadMs', 0, TIME_MS_MAX);
  if (!isLast && wave.spreadMs !== 0) {
    mistakes.push(`${path}.spreadMs: only the last wave can be spread`);
  }
}

function text(mistakes: string[], fields: Fields, name: string, isRequired: boolean): void {
  const value = fields[name];
  if (value === undefined && !isRequired) return;
  if (typeof value === 'string' && value.length > 0) return;
  mistakes.push(`${name}: expected a text, got ${shown(value)}`);
}

function integer(
  mistakes: string[],
  fields: Fields,
  path: string,
  name: string,
  min: number,
  max: number,
): void {
  const value = fields[name];
  if (Number.isSafeInteger(value) && (value as number) >= min && (value as number) <= max) return;
  const range = max === Number.MAX_SAFE_INTEGER ? `of at least ${min}` : `${min}-${max}`;
  mistakes.push(`${path}${name}: expected an integer ${range}, got ${shown(value)}`);
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function shown(value: unknown): string {
  return value === undefined ? 'nothing' : JSON.stringify(value);
}
