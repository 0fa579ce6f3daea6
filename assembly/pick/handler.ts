// The profile handlers: which scheduling profile picks for the request.

import { HANDLER_HEADER, NONE } from "../../src/wire/program";
import * as programs from "../state/program";
import * as request from "./request";

/** Number of the profile, or NONE: the request names one that there is not. */
export function profileFor(program: programs.Program, texts: usize): u32 {
  if (program.handler != HANDLER_HEADER || program.profileCount == 1) return 0;
  if (program.handlerHeader == NONE || !request.readHeader(program.handlerHeader)) return program.defaultProfile;
  for (let n: u32 = 0; n < program.profileCount; ++n) {
    const profile = programs.profile(program, n);
    if (profile.nameLength != request.valueLength) continue;
    if (memory.compare(texts + profile.nameOffset, request.value, request.valueLength) == 0) return n;
  }
  return NONE;
}
