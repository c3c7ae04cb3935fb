import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NetlinkRequest } from './connection.ts';
import { MessageWriter, NLM_F_DUMP_INTR, NLMSG_DONE } from './message.ts';
import * as route from './route.ts';

const NLM_F_MULTI = 0x2;

/** The end of a list, as the kernel answers a request. */
function ended(request: NetlinkRequest, flags: number, ahead = 0): Buffer {
  const writer = new MessageWriter();
  const sequence = request.writer.finish().readUInt32LE(8);
  writer.begin(NLMSG_DONE, NLM_F_MULTI | flags, sequence + ahead);
  writer.end();
  return writer.finish();
}

test('a list that changed while the kernel wrote it is known, those of earlier requests do not matter', () => {
  const request = new NetlinkRequest();
  route.dumpLinks(request);
  assert.equal(request.wasInterrupted(ended(request, 0)), false);
  assert.equal(request.wasInterrupted(ended(request, NLM_F_DUMP_INTR)), true);
  assert.equal(request.wasInterrupted(ended(request, NLM_F_DUMP_INTR, 1)), false);
  const change = new NetlinkRequest();
  route.deleteLink(change, 'veth0');
  assert.equal(change.wasInterrupted(ended(change, NLM_F_DUMP_INTR)), false);
});
