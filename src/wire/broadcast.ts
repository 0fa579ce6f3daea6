// What one worker tells the others as it happens: a message in each of their queues. The same bytes for
// all, but for `to`. Little-endian, everything a multiple of 8 bytes: a header, then records.

// Header, 32 bytes
// ┌──────────────┬──────────────┬─────────────────────────────┐
// │ magic     u32│ version   u32│ to                       u64│ 0    generation of the worker it is for: who
// ├──────────────┼──────────────┼─────────────────────────────┤      takes over its queue drops it
// │ length    u32│ reserved     │ sentNs                   u64│ 16   whole message; monotonic clock
// └──────────────┴──────────────┴─────────────────────────────┘
export const MESSAGE_MAGIC: u32 = 0x42534d50; // "PMSB"
export const MESSAGE_VERSION: u32 = 1;
export const MESSAGE_BYTES: u32 = 32;
export const B_MAGIC: u32 = 0;
export const B_VERSION: u32 = 4;
export const B_TO: u32 = 8;
export const B_LENGTH: u32 = 16;
export const B_SENT_NS: u32 = 24;

// Record, 24 bytes, then `count` words of 8 bytes
// ┌──────┬───────┬──────────────┬──────────────┬──────────────┐
// │ kind │ flags │ count     u32│ row       u32│ coldSize  u32│ 0
// │ u16  │ u16   │              │              │              │
// ├──────┴───────┴──────────────┼──────────────┴──────────────┘
// │ addressHash              u64│                               16   FNV-1a of "ip:port"
// └─────────────────────────────┘
export const RECORD_BYTES: u32 = 24;
export const D_KIND: u32 = 0;
export const D_FLAGS: u32 = 2;
export const D_COUNT: u32 = 4;
/** A hint: the row the sender had the endpoint at. The hash decides. */
export const D_ROW: u32 = 8;
/** With COLD: how many endpoints the sender's program remembers. */
export const D_COLD_SIZE: u32 = 12;
export const D_ADDRESS_HASH: u32 = 16;

// Kinds of records
/** The endpoint was sent a prompt. Words: hashes of its blocks that others do not know of, or not lately. */
export const KIND_LEARNED: u32 = 1;
/** A session was bound to the endpoint, or had another request. Words: the session, and when it was bound. */
export const KIND_BINDING: u32 = 2;
/** A request of the reader may have a place: it is its turn. No words; addressHash: the hash of the pool's name. */
export const KIND_PLACE: u32 = 3;

// Bits of D_FLAGS
/** The request was a cold one: nobody held a block of its prompt. */
export const COLD: u32 = 1;

/** Largest message. The record of one request, of BLOCKS_MAX hashes at most, takes a little over half of it. */
export const MESSAGE_BYTES_MAX: u32 = 65_536;
/**
 * What is learned within a time of a message goes with the next. A message costs some 6 µs, the wake-up it
 * brings included, and each reader gets one: so many ns for each, that a worker sends 2000 a second at most.
 */
export const FLUSH_NS_PER_READER: u32 = 500_000;
export const FLUSH_NS_MIN: u32 = 1_000_000;
/** From 20 readers on it is the catching-up tick that would send it anyway. */
export const FLUSH_NS_MAX: u32 = 10_000_000;
/** A callback takes so many messages, or so many bytes; the rest is left to the next one, or to a tick. */
export const MESSAGES_PER_CALLBACK: u32 = 16;
export const BYTES_PER_CALLBACK: u32 = 65_536;
