// What Envoy's access log can say of a pick: %FILTER_STATE(wasm.pool:PLAIN)%, and endpoint, score and reason in
// the same way. Each is a host call, so they are told only when the plugin configuration has accessLogFields.

import * as host from "../abi/host";
import { pointer, putNumber, utf8 } from "../abi/text";
import * as candidates from "../pick/candidates";
import * as choice from "../pick/choose";
import * as snapshot from "../state/snapshot";
import { lastOutcome, lastPool, NO_POOL, outcomeName } from "../state/stats";

const poolField = utf8("pool");
const endpointField = utf8("endpoint");
const scoreField = utf8("score");
const reasonField = utf8("reason");

const number: usize = memory.data(40);
const PLACES: u64 = 1_000;
/** Totals are sums of weights times 0…1; what is beyond this is no score to show. */
const SCORE_MAX: f64 = 1e12;

/** Tells how the request came out that was counted last; `isPicked`: the endpoint just chosen, too. */
export function tell(isPicked: bool): void {
  const reason = outcomeName(lastOutcome);
  host.setProperty(reasonField, pointer(reason), reason.byteLength);
  if (lastPool == NO_POOL) return;
  const pool = snapshot.pool(lastPool);
  host.setProperty(poolField, snapshot.poolName(pool), pool.nameLength);
  if (!isPicked) return;
  const best = choice.choice(0);
  const row = candidates.row(best);
  host.setProperty(endpointField, snapshot.address(row), snapshot.addressLength(row));
  host.setProperty(scoreField, number, putScore(candidates.total(best)));
}

/** With three places. Answers the length. */
function putScore(score: f64): u32 {
  if (!(score > -SCORE_MAX && score < SCORE_MAX)) return 0;
  let end = number;
  if (score < 0) store<u8>(end++, 0x2d);
  const thousandths = <u64>(abs<f64>(score) * <f64>PLACES + 0.5);
  // One more digit in front keeps the zeros: 1.05 is 1 and "1050" without its first digit.
  end = putNumber(end, thousandths / PLACES);
  const point = end;
  end = putNumber(end, PLACES + (thousandths % PLACES));
  store<u8>(point, 0x2e);
  return <u32>(end - number);
}
