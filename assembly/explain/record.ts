// What a pick is made of, written down as JSON while it is made: who could be picked, what each filter
// removed, what each scorer gave, who was chosen. Only for requests that ask; isOn tells.

import { DESTINATIONS_MAX } from "../../src/wire/limits";
import { utf8 } from "../abi/text";
import * as candidates from "../pick/candidates";
import * as choice from "../pick/choose";
import * as random from "../pick/random";
import * as model from "../request/model";
import * as prompt from "../request/prompt";
import * as programs from "../state/program";
import * as snapshot from "../state/snapshot";
import * as json from "./json";

export let isOn: bool = false;

let texts: usize = 0;

const poolName = utf8("pool");
const profileName = utf8("profile");
const modelName = utf8("model");
const priorityName = utf8("priority");
const targetName = utf8("target");
const tokensName = utf8("tokens");
const drawName = utf8("draw");
const candidatesName = utf8("candidates");
const stepsName = utf8("steps");
const endpointName = utf8("endpoint");
const podName = utf8("pod");
const waitingName = utf8("waiting");
const runningName = utf8("running");
const kvUsageName = utf8("kvUsage");
const staleName = utf8("stale");
const inFlightName = utf8("inFlight");
const matchedName = utf8("matchedBlocks");
const blocksName = utf8("blocks");
const filterName = utf8("filter");
const removedName = utf8("removed");
const scorerName = utf8("scorer");
const weightName = utf8("weight");
const scoresName = utf8("scores");
const rawName = utf8("raw");
const weightedName = utf8("weighted");
const pickerName = utf8("picker");
const pickedName = utf8("picked");
const totalName = utf8("total");

/** From here on picks are written down. */
export function start(): void {
  isOn = true;
  json.begin();
}

/** Ends what start began; the text stays until the next one. */
export function stop(): void {
  isOn = false;
}

/** The text; 0 when it did not fit. */
export function text(): usize {
  return json.text();
}

export function length(): u32 {
  return json.length();
}

/** Of the request at hand; told where it is not 0. */
let priority: i32 = 0;

export function setPriority(value: i32): void {
  priority = value;
}

/** The steps are about to run. */
export function began(pool: snapshot.Pool, profile: programs.Profile): void {
  texts = snapshot.programTexts(pool);
  json.open(0x7b);
  json.member(poolName);
  json.quoted(snapshot.poolName(pool), pool.nameLength);
  json.member(modelName);
  json.quoted(model.caller, model.callerLength);
  if (model.isRewritten()) {
    json.member(targetName);
    json.quoted(model.target, model.targetLength);
  }
  if (priority != 0) {
    json.member(priorityName);
    json.number(<f64>priority);
  }
  json.member(tokensName);
  json.number(<f64>prompt.tokens);
  json.member(drawName);
  json.number(<f64>random.drawn);
  json.member(profileName);
  json.quoted(texts + profile.nameOffset, profile.nameLength);
  json.member(candidatesName);
  json.open(0x5b);
  for (let n: u32 = 0; n < candidates.count; ++n) candidate(n);
  json.close(0x5d);
  json.member(stepsName);
  json.open(0x5b);
}

function candidate(n: u32): void {
  const row = candidates.row(n);
  json.element();
  json.open(0x7b);
  endpoint(n);
  json.member(podName);
  json.quoted(snapshot.pod(row), snapshot.podLength(row));
  json.member(waitingName);
  json.number(candidates.value(candidates.WAITING, n));
  json.member(runningName);
  json.number(candidates.value(candidates.RUNNING, n));
  json.member(kvUsageName);
  json.number(candidates.value(candidates.KV_USAGE, n));
  json.member(staleName);
  json.truth(candidates.isStale(n));
  json.member(inFlightName);
  json.number(candidates.value(candidates.IN_FLIGHT, n));
  json.member(matchedName);
  json.number(<f64>candidates.matched(n));
  json.member(blocksName);
  json.number(<f64>candidates.blocks(n));
  json.close(0x7d);
}

function endpoint(n: u32): void {
  json.member(endpointName);
  address(n);
}

function address(n: u32): void {
  json.quoted(snapshot.address(candidates.row(n)), snapshot.addressLength(candidates.row(n)));
}

/** A filter has said whom it keeps. */
export function filtered(step: programs.Step): void {
  json.element();
  json.open(0x7b);
  json.member(filterName);
  json.quoted(texts + step.nameOffset, step.nameLength);
  json.member(removedName);
  json.open(0x5b);
  for (let n: u32 = 0; n < candidates.count; ++n) {
    if (candidates.isKept(n)) continue;
    json.element();
    address(n);
  }
  json.close(0x5d);
  json.close(0x7d);
}

/** A scorer has given its scores. */
export function scored(step: programs.Step): void {
  json.element();
  json.open(0x7b);
  json.member(scorerName);
  json.quoted(texts + step.nameOffset, step.nameLength);
  json.member(weightName);
  json.number(step.weight);
  json.member(scoresName);
  json.open(0x5b);
  for (let n: u32 = 0; n < candidates.count; ++n) {
    json.element();
    json.open(0x7b);
    endpoint(n);
    json.member(rawName);
    json.number(candidates.raw(n));
    json.member(weightedName);
    json.number(step.weight * candidates.clamped(n));
    json.close(0x7d);
  }
  json.close(0x5d);
  json.close(0x7d);
}

/** The picker has chosen, from nobody too. Ends the text. */
export function picked(profile: programs.Profile): void {
  json.close(0x5d);
  json.member(pickerName);
  json.quoted(texts + profile.pickerNameOffset, profile.pickerNameLength);
  json.member(pickedName);
  json.open(0x5b);
  for (let n: u32 = 0; n < choice.chosen && n < DESTINATIONS_MAX; ++n) {
    json.element();
    json.open(0x7b);
    endpoint(choice.choice(n));
    json.member(totalName);
    json.number(candidates.total(choice.choice(n)));
    json.close(0x7d);
  }
  json.close(0x5d);
  json.close(0x7d);
}
