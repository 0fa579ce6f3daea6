// Takes a snapshot: checks its envelope, stamps it, stores it where every worker finds it. A refused
// one changes nothing. Any format is stored: who reads it decides whether it can.

import { KEY_METRICS, KEY_TOPOLOGY, KEY_VERSION } from "../../src/wire/names";
import { CRC_FROM, H_CRC32, H_EPOCH, H_RECEIVED_NS, H_SEQUENCE, KIND_TOPOLOGY } from "../../src/wire/snapshot";
import { monotonicNs } from "../abi/clock";
import * as host from "../abi/host";
import { pointer, put, putNumber, utf8 } from "../abi/text";
import * as reply from "../reply";
import * as blob from "../state/blob";
import { crc32 } from "./crc32";

const topologyKey = utf8(KEY_TOPOLOGY);
const metricsKey = utf8(KEY_METRICS);
const versionKey = utf8(KEY_VERSION);
const VERSION_BYTES: u32 = 16;
const version = memory.data(16, 8);
const answer = memory.data(96);

const tooShort = utf8("too_short");
const badMagic = utf8("bad_magic");
const badKind = utf8("bad_kind");
const badLength = utf8("bad_length");
const badTable = utf8("bad_table");
const badChecksum = utf8("bad_checksum");
const otherEpoch = utf8("other_epoch");
const tooShortMessage = utf8("Too short: a snapshot begins with a header of 64 bytes.");
const badMagicMessage = utf8("Not a snapshot: it does not begin with PSMN.");
const badKindMessage = utf8("Kind and path differ: topology goes to /v1/topology, metrics to /v1/metrics.");
const badLengthMessage = utf8("The length in the header is not that of the body.");
const badTableMessage = utf8("A table or a text lies outside the snapshot, or has more rows than allowed.");
const badChecksumMessage = utf8("The CRC-32 in the header is not that of the bytes.");
const otherEpochMessage = utf8("These metrics belong to another topology than the one in force.");

const beforeEpoch = utf8('{"epoch":');
const beforeSequence = utf8(',"sequence":');

/** Answers the PUT of the `length` bytes at `p` as a snapshot of `kind`. */
export function receive(p: usize, length: u32, kind: u32): void {
  if (isSound(p, length, kind)) accept(p, length, kind);
}

/** Whether the envelope holds; if not, the refusal has been answered. */
function isSound(p: usize, length: u32, kind: u32): bool {
  const told = blob.check(p, length, kind);
  if (told == blob.TOO_SHORT) return refuse(tooShort, tooShortMessage);
  if (told == blob.BAD_MAGIC) return refuse(badMagic, badMagicMessage);
  if (told == blob.BAD_KIND) return refuse(badKind, badKindMessage);
  if (told == blob.BAD_LENGTH) return refuse(badLength, badLengthMessage);
  if (crc32(p + CRC_FROM, length - CRC_FROM) != load<u32>(p, H_CRC32)) return refuse(badChecksum, badChecksumMessage);
  return told == blob.GOOD || refuse(badTable, badTableMessage);
}

function refuse(code: ArrayBuffer, message: ArrayBuffer): bool {
  reply.error(400, reply.INVALID_REQUEST, code, message, null);
  return false;
}

function accept(p: usize, length: u32, kind: u32): void {
  const isTopology = kind == KIND_TOPOLOGY;
  const epoch = load<u64>(p, H_EPOCH);
  readVersion();
  if (!isTopology && epoch != load<u64>(version)) {
    reply.error(409, reply.INVALID_REQUEST, otherEpoch, otherEpochMessage, null);
    return;
  }
  store<u64>(p, monotonicNs(), H_RECEIVED_NS);
  const key = isTopology ? topologyKey : metricsKey;
  host.setShared(pointer(key), key.byteLength, p, length, 0);
  const sequence = isTopology ? 0 : load<u64>(p, H_SEQUENCE);
  store<u64>(version, epoch);
  store<u64>(version, sequence, 8);
  host.setShared(pointer(versionKey), versionKey.byteLength, version, VERSION_BYTES, 0);
  const end = putNumber(put(putNumber(put(answer, beforeEpoch), epoch), beforeSequence), sequence);
  store<u8>(end, 0x7d);
  reply.json(200, answer, <u32>(end + 1 - answer));
}

/** Sets `version` to what is in force: zeros when nothing is. */
export function readVersion(): usize {
  memory.fill(version, 0, VERSION_BYTES);
  if (host.getShared(pointer(versionKey), versionKey.byteLength) && host.size == VERSION_BYTES) {
    memory.copy(version, host.data, VERSION_BYTES);
  }
  return version;
}
