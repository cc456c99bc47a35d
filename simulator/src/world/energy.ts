// What a device takes from its battery: currents of the ESP32 series datasheet (power consumption by
// power modes: 100 mA while it receives, 240 mA while it transmits 802.11b, 27 mA and up in modem
// sleep at 160 MHz, 10 µA in deep sleep with RTC timer and memory), times of a usual Wi-Fi network.

import type { Device } from '@flotilla/sdk';
import type { SimulatedPlatform } from '../fleet/simulated-platform.ts';
import type { Registry } from '../metrics/registry.ts';
import type { Fleet } from '../scenario/schema.ts';

/** Always connected: the radio sleeps between beacons. */
const CONNECTED_MA = 27;
/** Awake for a short time: the radio listens. */
const AWAKE_MA = 100;
const ASLEEP_MA = 0.01;
/** From deep sleep to an address in the network. */
const WAKE_UP_MS = 1500;
const TRANSMIT_MA = 240;
/** One message: preamble, contention and the acknowledgement of the link. */
const TRANSMIT_MS = 3;

const HOURS_PER_DAY = 24;

/** Records it for every device where some of the fleets sleep: it is what sleep is for. */
export function recordEnergy(
  registry: Registry,
  fleets: readonly Fleet[],
  platforms: readonly SimulatedPlatform[],
  devices: readonly (Device | undefined)[],
): void {
  if (!fleets.some(({ wake }) => wake !== undefined)) return;
  for (const [localIndex, device] of devices.entries()) {
    const { elapsedMs, fleet, startedMs } = platforms[localIndex]!;
    if (device === undefined || !(elapsedMs > startedMs)) continue;
    registry.trend('energy_mah_per_day', fleet).record(energyPerDay(device, elapsedMs - startedMs));
  }
}

/** mAh in a day of what this device did in `elapsedMs`. */
function energyPerDay(device: Device, elapsedMs: number): number {
  const transmitMs = TRANSMIT_MS * device.sampler.packCount;
  const { wake } = device;
  let chargeMaMs = (TRANSMIT_MA - CONNECTED_MA) * transmitMs;
  if (wake === undefined) {
    chargeMaMs += CONNECTED_MA * elapsedMs;
  } else {
    const awakeMs = Math.min(elapsedMs, wake.awakeMs + WAKE_UP_MS * wake.count);
    chargeMaMs += AWAKE_MA * awakeMs + ASLEEP_MA * (elapsedMs - awakeMs);
  }
  return (chargeMaMs / elapsedMs) * HOURS_PER_DAY;
}
