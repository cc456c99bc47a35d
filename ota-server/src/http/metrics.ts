// /metrics in the Prometheus text format, version 0.0.4. Counts only: nothing of one device.

import type { Control } from '../control/control.ts';

export function writeMetrics(control: Control): string {
  const { counters, devices, releases } = control;
  const lines: string[] = [];
  const add = (name: string, type: 'counter' | 'gauge', help: string, values: Samples) => {
    lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`);
    for (const [labels, value] of values) lines.push(`${name}${labels} ${value}`);
  };
  add('flotilla_ota_devices', 'gauge', 'Registered devices.', [['', devices.count]]);
  add('flotilla_ota_releases', 'gauge', 'Releases.', [['', releases.all.length]]);
  add('flotilla_ota_checks_total', 'counter', 'Checks answered.', [['', counters.checks]]);
  add('flotilla_ota_offers_total', 'counter', 'Checks with an update.', [['', counters.offers]]);
  add(
    'flotilla_ota_reports_total',
    'counter',
    'Reports by stage; ignored = changed nothing.',
    Object.entries(counters.reports).map(([stage, count]) => [labels({ stage }), count]),
  );
  add('flotilla_ota_refused_bodies_total', 'counter', 'Bodies that are no check or report.', [
    ['', counters.refusedBodies],
  ]);
  add('flotilla_ota_downloads_total', 'counter', 'Downloads begun, ranges too.', [
    ['', counters.downloads],
  ]);
  add('flotilla_ota_download_bytes_total', 'counter', 'Bytes of those.', [
    ['', counters.downloadBytes],
  ]);
  add('flotilla_ota_alerts_total', 'counter', 'Alerts of rollouts.', [['', counters.alerts]]);
  add(
    'flotilla_ota_rollout_devices',
    'gauge',
    'Devices of a rollout by wave and status.',
    control.rolloutIds().flatMap((rollout) => rolloutSamples(control, rollout)),
  );
  return `${lines.join('\n')}\n`;
}

type Samples = readonly (readonly [labels: string, value: number])[];

function rolloutSamples(control: Control, rollout: string): Samples {
  return control.rolloutStatus(rollout).waves.flatMap(({ byStatus }, wave) =>
    Object.entries(byStatus)
      .filter(([, count]) => count > 0)
      .map(([status, count]) => [labels({ rollout, wave: String(wave), status }), count] as const),
  );
}

function labels(values: Readonly<Record<string, string>>): string {
  const parts = Object.entries(values).map(
    ([name, value]) =>
      `${name}="${value.replace(/[\\"\n]/g, (mark) => (mark === '\n' ? '\\n' : `\\${mark}`))}"`,
  );
  return `{${parts.join(',')}}`;
}
