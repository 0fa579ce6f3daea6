// Results about flow control as Markdown tables.

import type { AdmissionResult } from "./admission.ts";
import type { DispatchResult } from "./dispatch.ts";
import { megabytes, section, signed, table, verdict } from "./markdown.ts";
import type { Fill, SideWaiting, WaitingResult } from "./waiting.ts";

export type FlowResult = WaitingResult | DispatchResult | AdmissionResult;

/** Results of other kinds are passed over. */
export function flowTables(
  results: readonly (FlowResult | { readonly kind: "cost" | "streams" | "agent" })[],
): readonly string[] {
  const waiting = results.filter((result) => result.kind === "waiting");
  const dispatch = results.filter((result) => result.kind === "dispatch");
  const admission = results.filter((result) => result.kind === "admission");
  return [
    section("May it go on? The question alone", admissionTable(admission)),
    section("A request inside Node", admittedTable(admission)),
    section("One leaves the line and one comes", dispatchTable(dispatch)),
    section("Waiting requests: memory of the first", waitingTable(waiting)),
    section("Waiting requests: what stays behind", drainedTable(waiting)),
  ];
}

function admissionTable(results: readonly AdmissionResult[]): string {
  const rows = results.flatMap(({ cell, rows }) =>
    rows.map(({ endpoints, admission, askNs }) => [
      String(endpoints),
      admission,
      askNs.toFixed(0),
      verdict(cell.targetNs, askNs, 0),
    ]),
  );
  return table(["endpoints", "gate or detector", "ns", "target"], rows);
}

function admittedTable(results: readonly AdmissionResult[]): string {
  const rows = results.flatMap(({ requests }) =>
    requests.map(({ endpoints, admission, us, hostCalls }) => {
      const none = requests.find((other) => other.endpoints === endpoints && other.admission === "none");
      const added = (us - (none?.us ?? Number.NaN)).toFixed(2);
      return [String(endpoints), admission, us.toFixed(2), added, String(hostCalls)];
    }),
  );
  return table(["endpoints", "gate or detector", "µs, Node's host included", "over none", "host calls"], rows);
}

function dispatchTable(results: readonly DispatchResult[]): string {
  const rows = results.flatMap(({ rows }) =>
    rows.map(({ waiting, flows, ...ns }) => [
      String(waiting),
      String(flows),
      ...[ns.serveNs, ns.serveByDeadlineNs, ns.leaveNs].map((value) => value.toFixed(0)),
    ]),
  );
  return table(["waiting", "flows", "the next, by arrival: ns", "the next, by deadline", "any"], rows);
}

function waitingTable(results: readonly WaitingResult[]): string {
  const rows = results.map(({ cell, delay, filter }) => {
    const added = filter.bytesPerRequest - delay.bytesPerRequest;
    return [
      String(cell.requests),
      ...[delay, filter].map(({ bytesPerRequest }) => (bytesPerRequest / 1000).toFixed(1)),
      signed(added / 1000),
      verdict(cell.addedTargetBytes / 1000, added / 1000),
    ];
  });
  return table(["waiting", "fault filter: KB each", "with the filter", "difference", "target"], rows);
}

function drainedTable(results: readonly WaitingResult[]): string {
  const rows = results.flatMap(({ delay, filter }) => [
    drainedRow("fault filter", delay),
    drainedRow("with the filter", filter),
  ]);
  return table(
    ["side", "RSS MB before", "held", "after each drain", "allocated then", "outside the allocator then"],
    rows,
  );
}

function drainedRow(name: string, { before, fills }: SideWaiting): readonly string[] {
  const each = (value: (fill: Fill) => number) => fills.map((fill) => megabytes(value(fill))).join(", ");
  return [
    name,
    megabytes(before.resident),
    each(({ held }) => held.resident),
    each(({ drained }) => drained.resident),
    each(({ drained }) => drained.allocated),
    each(({ drained }) => drained.outside),
  ];
}
