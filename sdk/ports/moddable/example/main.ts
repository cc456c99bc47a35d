// A thermometer on an ESP32: the Wi-Fi is up when this runs (mcconfig's ssid and password).
// Watch it with: mosquitto_sub -v -t 'devices/#'

import { Device, DeviceProfile } from '../../../src/index.ts';
import { ModdablePlatform } from '../index.ts';

const profile = new DeviceProfile({
  broker: { host: '192.168.1.10', port: 1883 },
  intervalMs: 10_000,
  packetSizeMax: 1024,
  sensors: [{ name: 'temperature', unit: 'Cel', read: () => 21.5 }],
});

export default function main(): void {
  new Device({ platform: new ModdablePlatform(), id: 'thermometer-1', profile }).start();
}
