// What Envoy calls, and which station answers. Nothing is decided here.

import { HEARTBEAT_MS } from "../src/wire/limits";
import { API_NONE } from "../src/wire/program";
import * as clock from "./abi/clock";
import * as host from "./abi/host";
import * as scratch from "./abi/scratch";
import { CONTINUE, PLUGIN_CONFIGURATION, STOP_AND_BUFFER, STOP_ITERATION, STOP_NO_BUFFER } from "./abi/status";
import { put, utf8 } from "./abi/text";
import * as configs from "./config";
import * as accessLog from "./explain/access_log";
import { explain } from "./explain/answer";
import * as ingest from "./ingest/requests";
import * as random from "./pick/random";
import * as headers from "./request/1_headers";
import * as body from "./request/2_body";
import * as scanner from "./request/3_scan";
import * as picker from "./request/6_pick";
import * as client from "./request/client_headers";
import * as dispatcher from "./request/dispatch";
import * as line from "./request/line";
import { parsersOf, readsPrompt } from "./request/pool";
import { readStatus } from "./response/answer";
import { finish, leaveLine } from "./response/finish";
import * as response from "./response/headers";
import * as lease from "./share/lease";
import { beat, forget, onQueueReady } from "./share/sync";
import * as blocks from "./state/blocks";
import * as responses from "./state/responses";
import * as stats from "./state/stats";
import * as streams from "./state/streams";

export function proxy_abi_version_0_2_1(): void {}

/** Where the host puts what it returns. */
export function proxy_on_memory_allocate(size: usize): usize {
  return scratch.take(size);
}

export function proxy_on_context_create(context: u32, root: u32): void {
  if (root == 0) configs.open(context);
  else streams.open(context, configs.find(root));
}

const refusedConfiguration = utf8("pointsman: plugin configuration refused: ");
const logLine = memory.data(320);

export function proxy_on_configure(root: u32, size: u32): u32 {
  scratch.reset();
  const row = configs.find(root);
  if (row == configs.NO_ROW) return 0;
  const known = host.getBuffer(PLUGIN_CONFIGURATION, 0, size);
  if (!configs.parse(row, host.data, known ? host.size : 0)) {
    const end = put(put(logLine, refusedConfiguration), configs.problem);
    host.logText(host.LOG_CRITICAL, logLine, <u32>(end - logLine));
    return 0;
  }
  const config = configs.at(row);
  if (config.seed != 0) random.seed(config.seed);
  else if (!random.isSeeded) random.seed(clock.entropy());
  lease.create();
  if (config.role == configs.ROLE_FILTER) stats.defineNoPool();
  blocks.setBudget(config.prefixIndexMiB << 20);
  return 1;
}

export function proxy_on_queue_ready(root: u32, queue: u32): void {
  scratch.reset();
  const nowNs = clock.monotonicNs();
  if (onQueueReady(queue, nowNs)) line.look(root, nowNs);
}

export function proxy_on_tick(root: u32): void {
  scratch.reset();
  const nowNs = clock.monotonicNs();
  beat(nowNs, root);
  line.look(root, nowNs);
}

export function proxy_on_request_headers(context: u32, count: u32, isEnd: u32): i32 {
  scratch.reset();
  const stream = streams.find(context);
  if (streams.isNone(stream) || stream.root == configs.NO_ROW) {
    headers.read(0, 0);
    picker.countPassed();
    return CONTINUE;
  }
  const config = configs.at(stream.root);
  if (config.role == configs.ROLE_INGEST) return ingest.onHeaders(stream, isEnd != 0);
  startTicking(config);
  responses.open(stream);
  stream.body = headers.read(parsersOf(config), config.trusted);
  client.keep(stream);
  if (headers.explain && config.explain != 0) stream.flags |= streams.EXPLAINS;
  if (<u32>stream.body == API_NONE) {
    scanner.begin(API_NONE, false);
    return decide(stream, config, STOP_ITERATION);
  }
  stream.receivedNs = clock.monotonicNs();
  body.begin(stream);
  if (isEnd == 0) {
    stream.phase = streams.INSPECTING;
    return STOP_ITERATION;
  }
  return readBody(stream, config, 0, true) == CONTINUE ? CONTINUE : STOP_ITERATION;
}

export function proxy_on_request_body(context: u32, size: u32, isEnd: u32): i32 {
  const stream = streams.find(context);
  if (streams.isNone(stream) || stream.root == configs.NO_ROW) return CONTINUE;
  const config = configs.at(stream.root);
  if (config.role == configs.ROLE_INGEST) {
    scratch.reset();
    return ingest.onBody(stream, size, isEnd != 0);
  }
  if (stream.phase == streams.WAITING) return keepWaiting(stream, size, isEnd != 0);
  if (stream.phase == streams.SENT) return passOn(stream, size);
  if (stream.phase != streams.INSPECTING) return stream.phase == streams.REPLIED ? STOP_NO_BUFFER : CONTINUE;
  scratch.reset();
  return readBody(stream, config, size, isEnd != 0);
}

export function proxy_on_request_trailers(context: u32, count: u32): i32 {
  const stream = streams.find(context);
  if (streams.isNone(stream) || stream.root == configs.NO_ROW) return CONTINUE;
  const config = configs.at(stream.root);
  scratch.reset();
  if (config.role == configs.ROLE_INGEST) return ingest.onTrailers(stream);
  if (stream.phase == streams.WAITING) return keepWaiting(stream, stream.received, true);
  if (stream.phase != streams.INSPECTING) return CONTINUE;
  return readBody(stream, config, stream.received, true) == CONTINUE ? CONTINUE : STOP_ITERATION;
}

export function proxy_on_response_headers(context: u32, count: u32, isEnd: u32): i32 {
  const stream = streams.find(context);
  if (streams.isNone(stream)) return CONTINUE;
  scratch.reset();
  // Envoy ends a request that waits: too large, or too slow. It must not be sent on any more.
  if (stream.phase == streams.WAITING) leaveLine(stream);
  // Why a request was refused is told apart in the statistics; nothing else of an own reply is of interest.
  if (stream.phase == streams.REPLIED && stream.series != streams.NO_SERIES) readStatus(responses.answerTo(stream));
  if (stream.phase != streams.SENT) return CONTINUE;
  response.read(stream, configs.at(stream.root));
  line.fillPlaces(stream.poolHash, context);
  return CONTINUE;
}

export function proxy_on_delete(context: u32): void {
  scratch.reset();
  const stream = streams.find(context);
  if (!streams.isNone(stream)) {
    const pool = stream.poolHash;
    if (finish(stream)) line.fillPlaces(pool, context);
    return;
  }
  const row = configs.find(context);
  if (row == configs.NO_ROW) return;
  configs.close(row);
  forget(context);
}

/** A worker shows that it lives once it serves: VMs on Envoy's main thread never do. */
function startTicking(config: configs.Config): void {
  if (config.ticking != 0) return;
  config.ticking = 1;
  host.setTickMs(HEARTBEAT_MS);
}

/** More of the body of a request that waits has come: `size` bytes in all. */
function keepWaiting(stream: streams.Stream, size: u32, isEnd: bool): i32 {
  stream.received = size;
  stream.isPartial = isEnd ? 0 : 1;
  return STOP_AND_BUFFER;
}

/** More of the body of a request that was sent on: a piece, or, if it waited for this one, all that has come. */
function passOn(stream: streams.Stream, size: u32): i32 {
  if ((stream.flags & streams.GOES_ON_LATER) == 0) stream.received += size;
  else stream.received = size;
  stream.flags &= ~streams.GOES_ON_LATER;
  return CONTINUE;
}

function readBody(stream: streams.Stream, config: configs.Config, size: u32, isEnd: bool): i32 {
  stream.isPartial = isEnd ? 0 : 1;
  body.setExtract(readsPrompt(config));
  const known = body.read(stream, config, size, isEnd);
  if (known == body.UNDECIDED) return STOP_AND_BUFFER;
  if (known == body.DECIDED) return decide(stream, config, STOP_NO_BUFFER);
  stream.phase = streams.REPLIED;
  if ((stream.flags & streams.EXPLAINS) != 0) return STOP_NO_BUFFER;
  picker.countRefused(config);
  if (config.accessLogFields != 0) accessLog.tell(false);
  return STOP_NO_BUFFER;
}

/** Sends the request on. Answers CONTINUE, or `stop` when the request was answered here. */
function decide(stream: streams.Stream, config: configs.Config, stop: i32): i32 {
  if ((stream.flags & streams.EXPLAINS) != 0) {
    explain(stream, config);
    stream.phase = streams.REPLIED;
    return stop;
  }
  const came = dispatcher.dispatch(stream, config);
  if (came == dispatcher.HELD) return STOP_AND_BUFFER;
  stream.phase = came == dispatcher.GOES_ON ? streams.SENT : streams.REPLIED;
  return came == dispatcher.GOES_ON ? CONTINUE : stop;
}
