// Firmware and its updates, from the form of the file to the scenario.

import type { ScenarioFile } from './file-schema.ts';
import type { Behaviour, FleetFirmware, ReleaseEvent, RolloutEvent } from './update.ts';

type FileFleet = ScenarioFile['fleets'][number];
type FileFirmware = NonNullable<FileFleet['firmware']>;
type FileEvent = ScenarioFile['timeline'][number];

/** The firmware of a fleet; files are as the scenario names them. */
export function normaliseFirmware(file: FileFirmware, fleet: string): FleetFirmware {
  return {
    ...imageOf(file),
    deviceClass: file.class,
    hardware: file.hardware ?? fleet,
    ...(file.key === undefined ? {} : { key: file.key }),
    bootMs: file.boot,
    pollMs: file.poll,
    trialMs: file.trial,
    trialOfflineMs: Math.max(file.trial, file.trialOffline),
    linkDropSize: file.linkDrop,
    powerCutOperations: file.powerCut,
    attacks: file.attacks,
  };
}

export function normaliseRelease(
  file: NonNullable<FileEvent['release']>,
  atMs: number,
): ReleaseEvent {
  return {
    kind: 'release',
    atMs,
    ...imageOf(file),
    deviceClass: file.class,
    from: file.from,
    ...(file.rollbackTo === undefined ? {} : { rollbackTo: file.rollbackTo }),
  };
}

export function normaliseRollout(
  file: NonNullable<FileEvent['rollout']>,
  atMs: number,
): RolloutEvent {
  return {
    kind: 'rollout',
    atMs,
    release: file.release,
    waves: file.waves.map((wave) => ({
      percent: wave.percent,
      soakMs: wave.soak,
      failureRatioMax: wave.failureRatioMax,
      successRatioMin: wave.successRatioMin,
      sampleMin: wave.sampleMin,
      spreadMs: wave.spread,
    })),
    offerTimeoutMs: file.timeout,
    attemptsMax: file.attempts,
    onFailure: file.onFailure,
    abnormalResetsMax: file.abnormalResetsMax,
    silenceMsMax: file.silence,
  };
}

type FileImage = Pick<FileFirmware, 'version' | 'size' | 'file' | 'behaviour'>;

function imageOf({ behaviour, file, size, version }: FileImage) {
  return {
    version,
    size,
    ...(file === undefined ? {} : { file }),
    behaviour: behaviourOf(behaviour),
  };
}

function behaviourOf(file: FileFirmware['behaviour']): Behaviour {
  return {
    crashOnBoot: file.crashOnBoot,
    ...(file.crashAfter === undefined ? {} : { crashAfterMs: file.crashAfter }),
    crashShare: file.crashShare,
    failHealth: file.failHealth,
    ...(file.failHardware === undefined ? {} : { failHardware: file.failHardware }),
  };
}
