// Which desired changes the devices have reported, and how long that took. Counts from the change,
// or from the device's birth message where that came later: a device that is away cannot report.

import { difference, merge, type Shadow, type Tree } from '@flotilla/ota-server/shadow';
import type { Registry } from '../metrics/registry.ts';

/** A change that a device has not reported yet. */
interface OpenChange {
  readonly changedMs: number;
  readonly desired: Tree;
}

interface TrackedDevice {
  readonly fleet: number;
  /** Of its latest birth; far past when none came since the service listens. */
  onlineMs: number;
  /** Of that birth; undefined where it does not say. */
  since: unknown;
  open: readonly OpenChange[];
}

export class ShadowTracker {
  private readonly registry: Registry;
  private readonly devices = new Map<string, TrackedDevice>();

  constructor(registry: Registry) {
    this.registry = registry;
  }

  add(id: string, fleet: number): void {
    this.devices.set(id, { fleet, onlineMs: Number.NEGATIVE_INFINITY, since: undefined, open: [] });
  }

  /** `since` is what the birth says of its connection: one that is published again moves nothing. */
  online(id: string, nowMs: number, since: unknown): void {
    const device = this.devices.get(id);
    if (device === undefined || (since !== undefined && since === device.since)) return;
    device.onlineMs = nowMs;
    device.since = since;
  }

  /** Call before the change is made. What it removes is nothing that a device could report. */
  change(id: string, patch: Tree, nowMs: number): void {
    const device = this.devices.get(id);
    const desired = merge(undefined, patch);
    if (device === undefined || difference(desired, undefined) === undefined) return;
    device.open = [...device.open, { changedMs: nowMs, desired }];
    this.registry.counter('shadow_updates', device.fleet).add();
  }

  /** Takes the shadow of a device after each update. */
  take(id: string, shadow: Shadow | undefined, nowMs: number): void {
    const device = this.devices.get(id);
    if (device === undefined || device.open.length === 0) return;
    const { fleet, onlineMs } = device;
    device.open = device.open.filter(({ changedMs, desired }) => {
      if (difference(desired, shadow?.state.reported) !== undefined) return true;
      this.registry.counter('shadow_converged', fleet).add();
      const latencyMs = nowMs - Math.max(changedMs, onlineMs);
      this.registry.trend('shadow_latency_ms', fleet).record(latencyMs);
      return false;
    });
  }
}
