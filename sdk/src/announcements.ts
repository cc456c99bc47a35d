// What a device says of itself, beside that for which it is there: birth and diagnostics, made anew
// each time instead of buffered; and when it may, with requests to the shadow (side-messages.ts).

import type { Device } from './device.ts';
import { writeDiagnostics } from './diagnostics.ts';
import { STABLE_MS } from './mqtt/client.ts';
import { PUBLISH_LATER, PUBLISH_TOO_LARGE, type PublishResult } from './mqtt/delivery.ts';
import { reasonName } from './mqtt/reason-codes.ts';
import { DIAGNOSTICS, SIDE_NAMES, SideMessages, STATUS } from './side-messages.ts';
import { writeOnlineStatus } from './status.ts';
import { isFinal } from './uplink.ts';

/** Session reference of the birth message, which is no record of the buffer. */
export const BIRTH = 0;

/** How often diagnostics go out, besides at every connect. */
export const DIAGNOSTICS_INTERVAL_MS = 24 * 3600 * 1000;

/** A connection begins. */
export function planAnnouncements(device: Device): void {
  const { diagnostics, status } = device.profile;
  device.birthDueMs = status ? sideDueMs(device, STATUS) : Number.POSITIVE_INFINITY;
  device.diagnosticsDueMs = diagnostics ? sideDueMs(device, DIAGNOSTICS) : Number.POSITIVE_INFINITY;
}

/** Says what is due; false when there is no room for the birth, before which nothing goes out. */
export function announce(device: Device): boolean {
  const { client, platform } = device;
  const nowMs = platform.clock.monotonicMs();
  const { scratch } = platform.memory;
  if (device.birthDueMs <= nowMs) {
    const end = writeBirth(device, scratch);
    if (client.publish(BIRTH, 'status', scratch, 0, end, 1, true) === PUBLISH_LATER) return false;
    device.birthDueMs = Number.POSITIVE_INFINITY;
    sideSaid(device, STATUS);
  }
  if (device.diagnosticsDueMs <= nowMs) {
    const end = writeDiagnostics(scratch, 0, device);
    const result = client.publish(BIRTH, 'diagnostics', scratch, 0, end, 0, false);
    if (result === PUBLISH_LATER) return true;
    device.diagnosticsDueMs = nowMs + DIAGNOSTICS_INTERVAL_MS;
    sideSaid(device, DIAGNOSTICS);
  }
  return true;
}

/** As `ClientOwner.resend`, of the birth: the old one says the same as a new one would. */
export function resendBirth(device: Device): PublishResult {
  const { client, platform } = device;
  // It has to wait now, and is made anew then.
  if (device.birthDueMs > platform.clock.monotonicMs()) return PUBLISH_TOO_LARGE;
  const { scratch } = platform.memory;
  const result = client.publishAgain('status', scratch, 0, writeBirth(device, scratch), true);
  if (result !== PUBLISH_LATER) {
    device.birthDueMs = Number.POSITIVE_INFINITY;
    sideSaid(device, STATUS);
  }
  return result;
}

/** The server refused the birth. */
export function birthRefused(device: Device, reasonCode: number): void {
  if (isFinal(reasonCode)) {
    sideOf(device).leaveOut(STATUS, device.platform.clock.monotonicMs());
    leftOut(device, STATUS, reasonName(reasonCode, 5));
    device.birthDueMs = sideDueMs(device, STATUS);
  } else {
    device.birthDueMs = device.uplink.refusedPauseEndMs(reasonCode);
  }
}

/** The connection ended, and not by us: was it for what was said on it? */
export function judgeEnd(device: Device, reason: string): void {
  const nowMs = device.platform.clock.monotonicMs();
  const { connectedMs } = device.client;
  if (device.side === undefined && nowMs - connectedMs >= STABLE_MS) return;
  const kind = sideOf(device).ended(nowMs, connectedMs);
  if (kind >= 0) leftOut(device, kind, reason);
}

/** When a message beside telemetry may go out on this connection. */
export function sideDueMs(device: Device, kind: number): number {
  const nowMs = device.platform.clock.monotonicMs();
  return device.side === undefined ? nowMs : device.side.dueMs(kind, nowMs);
}

/** It went out. */
export function sideSaid(device: Device, kind: number): void {
  if (device.side !== undefined) device.side.said(kind, device.platform.clock.monotonicMs());
}

/** What is known of them; made now where nothing was. */
export function sideOf(device: Device): SideMessages {
  if (device.side === undefined) device.side = new SideMessages();
  return device.side;
}

function leftOut(device: Device, kind: number, reason: string): void {
  device.counters.leftOut += 1;
  const { onLeftOut } = device.profile.events;
  if (onLeftOut !== undefined) onLeftOut(device, SIDE_NAMES[kind] as string, reason);
}

function writeBirth({ client, platform }: Device, target: Uint8Array): number {
  const { clock } = platform;
  const sinceMs = clock.epochMs() - (clock.monotonicMs() - client.connectedMs);
  return writeOnlineStatus(target, 0, sinceMs);
}
