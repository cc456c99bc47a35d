// A thermometer in 15 lines: node sdk/examples/thermometer.ts [host] [port]
// Watch it with: mosquitto_sub -v -t 'devices/#'
import { Device, DeviceProfile } from '@flotilla/sdk';
import { NodePlatform } from '@flotilla/sdk/node';

const [host = '127.0.0.1', port = '1883'] = process.argv.slice(2);
const profile = new DeviceProfile({
  broker: { host, port: Number(port) },
  intervalMs: 1000,
  sensors: [{ name: 'temperature', unit: 'Cel', read: () => 20 + Math.sin(Date.now() / 60_000) }],
  events: {
    onConnected: (device) => console.log(`${device.id} is online`),
    onDisconnected: (device, reason) => console.log(`${device.id} is offline: ${reason}`),
  },
});
const device = new Device({ platform: new NodePlatform(), id: 'thermometer-1', profile });
device.start();
process.once('SIGINT', () => device.stop());
