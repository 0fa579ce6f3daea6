// A report of the workers as bytes: what ingest answers, made of columns.

import { decodeReport, type Report } from "../../src/control/report.ts";
import * as r from "../../src/wire/report.ts";

/** `columns`: each worker's, followed by its rows. */
export function reportBytes(columns: readonly Buffer[]): Buffer {
  const header = Buffer.alloc(r.REPORT_BYTES);
  header.writeUInt32LE(r.REPORT_MAGIC, r.R_MAGIC);
  header.writeUInt32LE(r.REPORT_VERSION, r.R_VERSION);
  header.writeUInt32LE(columns.length, r.R_WORKER_COUNT);
  return Buffer.concat([header, ...columns]);
}

/** Throws when the agent does not take it. */
export function reportOf(columns: readonly Buffer[]): Report {
  const decoded = decodeReport(reportBytes(columns));
  if (!decoded.ok) throw new Error(decoded.error.message);
  return decoded.value;
}
