/** Which machines have the daemon as a service of systemd, and what clients are told of a service that is silent. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ServiceState, serviceIsInstalled, whyServiceIsSilent } from './systemd-service.ts';

const STATE: ServiceState = {
  loadState: 'loaded',
  activeState: 'inactive',
  result: 'success',
  unitFileState: 'enabled',
};

test('a service needs a systemd that runs, and a unit where systemd looks', () => {
  const machine =
    (...paths: string[]) =>
    (path: string) =>
      paths.includes(path);
  const unit = '/etc/systemd/system/mydock.service';
  assert.equal(serviceIsInstalled(machine('/run/systemd/system', unit)), true);
  assert.equal(
    serviceIsInstalled(machine('/run/systemd/system', '/usr/lib/systemd/system/mydock.service')),
    true,
  );
  assert.equal(serviceIsInstalled(machine('/run/systemd/system')), false, 'no unit');
  assert.equal(serviceIsInstalled(machine(unit)), false, 'no systemd: a container, or another init');
});

test('what is said of a service that is silent names its state and what starts it', () => {
  for (const [change, expected] of [
    [{}, /is not started: `systemctl start mydock\.service`/],
    [{ unitFileState: 'disabled' }, /is not started: `systemctl enable --now mydock\.service`/],
    [
      { activeState: 'failed', result: 'exit-code' },
      /has failed \(exit-code\): `journalctl -u mydock\.service` says why/,
    ],
    [{ loadState: 'masked', unitFileState: 'masked' }, /is masked: `systemctl unmask mydock\.service`/],
    [{ activeState: 'active' }, /is active, and nothing listens there: `systemctl restart mydock\.socket/],
  ] as const) {
    assert.match(whyServiceIsSilent({ ...STATE, ...change }), expected);
  }
  assert.match(whyServiceIsSilent(undefined), /does not say how it is/);
});
