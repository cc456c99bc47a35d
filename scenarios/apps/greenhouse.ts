// A greenhouse as firmware: two sensors, and a fan behind a relay that a command drives. The same
// file runs on a microcontroller, where `read` asks real sensors and `setRelay` a pin.

import { type Device, type Platform, PRIORITY_HIGH, type Sensor } from '@flotilla/sdk';

const TICK_MS = 1000;
/** Degrees per tick: the sun warms, the fan cools. */
const WARMING = 0.05;
const COOLING = 0.2;
const ALARM_CELSIUS = 35;

class Greenhouse {
  temperature = 24;
  humidity = 60;
  private fan = false;
  private alarmed = false;
  private readonly device: Device;

  constructor(device: Device) {
    this.device = device;
  }

  setRelay(on: boolean): void {
    this.fan = on;
    this.device.report('relay', undefined, on, PRIORITY_HIGH);
  }

  onTimer(): void {
    this.temperature += this.fan ? -COOLING : WARMING;
    this.humidity += this.fan ? -0.1 : 0.05;
    const hot = this.temperature > ALARM_CELSIUS;
    // Told once, when it begins: an alarm that repeats drowns the others.
    if (hot && !this.alarmed) this.device.report('alarm', 'Cel', this.temperature, PRIORITY_HIGH);
    this.alarmed = hot;
  }
}

function greenhouseOf(device: Device): Greenhouse {
  return device.application as Greenhouse;
}

export const sensors: readonly Sensor[] = [
  { name: 'temperature', unit: 'Cel', read: (device) => greenhouseOf(device).temperature },
  { name: 'humidity', unit: '%RH', read: (device) => greenhouseOf(device).humidity },
];

export const commands = {
  /** {"command": "relay", "argument": true | false}; the result's value is the new state. */
  relay(argument: unknown, device: Device): boolean {
    if (typeof argument !== 'boolean') throw new Error('argument: expected true or false');
    greenhouseOf(device).setRelay(argument);
    return argument;
  },
};

/** Called once per device, before it connects. */
export function start(device: Device, platform: Platform): void {
  const greenhouse = new Greenhouse(device);
  device.application = greenhouse;
  const timer = platform.createTimer({
    onTimer() {
      greenhouse.onTimer();
      timer.start(TICK_MS);
    },
  });
  timer.start(TICK_MS);
}
