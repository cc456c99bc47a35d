// The application of the Espruino session, as its user writes it: plain JavaScript of the engine.

/** Samples that the device takes, and that the broker must see, each of them. */
export const SAMPLE_INTERVAL_MS = 100;

/** The script, for a broker on this port of 127.0.0.1. */
export function application(port: number): string {
  return `
var sdk = require("flotilla");
var platform = new sdk.EspruinoPlatform();
var reading = 0;
var finish = function() {
  if (device.pendingCount > 0) {
    setTimeout(finish, 100);
    return;
  }
  print("produced " + reading * 2);
  print("PASS " + process.memory(true).usage);
  device.stop();
};
var profile = new sdk.DeviceProfile({
  broker: { host: "127.0.0.1", port: ${port} },
  protocol: 4,
  intervalMs: ${SAMPLE_INTERVAL_MS},
  retryMsMin: 100,
  retryMsMax: 200,
  bufferSize: 2048,
  sensors: [{ name: "temp", unit: "Cel", read: function() { reading += 0.5; return 20 + reading; } }],
  commands: {
    add: function(argument) { return argument.a + argument.b; },
    finish: function(argument, device) {
      device.stopSampling();
      setTimeout(finish, 500);
      return true;
    }
  },
  shadow: {
    handlers: { limit: function(value) { print("limit " + value); return value; } }
  },
  events: {
    onConnected: function() { print("connected"); },
    onDisconnected: function(device, reason) { print("disconnected: " + reason); }
  }
});
var device = new sdk.Device({ platform: platform, id: "esp-1", profile: profile });
device.start();
`;
}
