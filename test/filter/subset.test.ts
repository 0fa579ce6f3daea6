// The subset hint: a pick, and all its retries, stay among the endpoints that something before the filter allows.

import { describe, expect, test } from "vitest";
import { HEADER_SUBSET } from "../../src/wire/names.ts";
import { headerOf, sendRequest } from "../host/drive.ts";
import { CHAT, errorOf, Gateway, IDLE, POOL } from "./gateway.ts";

const ADDRESSES = ["10.0.0.1:8000", "10.0.0.1:8001", "10.0.0.2:8000", "[fd00::1]:8000", "10.0.0.20:8000"];
const METADATA = `metadata\0filter_metadata\0envoy.lb.subset_hint\0${HEADER_SUBSET}`;

function serving(configuration: object, failOpen = false): Gateway {
  const gateway = new Gateway(configuration);
  gateway.control.topology([{ name: POOL, failOpen, endpoints: ADDRESSES.map((address) => ({ address })) }]);
  gateway.control.metrics(ADDRESSES.map(() => IDLE));
  return gateway;
}

/** A list value as Envoy hands it over. */
function list(entries: readonly string[]): Buffer {
  const head = Buffer.alloc(4 + entries.length * 8);
  head.writeUInt32LE(entries.length, 0);
  for (const [index, entry] of entries.entries()) head.writeUInt32LE(entry.length, 4 + index * 8);
  return Buffer.concat([head, ...entries.map((entry) => Buffer.from(`${entry}\0\0`))]);
}

/** Whom the request may reach, in any order, or the answer. */
function reach(gateway: Gateway, hint: Buffer | string | undefined, header?: string) {
  const stream = gateway.worker.stream();
  if (hint !== undefined) stream.setProperty(METADATA, hint);
  sendRequest(stream, { body: CHAT, headers: header === undefined ? [] : [[HEADER_SUBSET, header]] });
  if (stream.localResponse !== undefined) return errorOf(stream);
  const sent = stream.request.sentHeaders;
  expect(headerOf(sent, HEADER_SUBSET)).toBeUndefined();
  const destinations = headerOf(sent, "x-gateway-destination-endpoint")!.split(",");
  const retries = headerOf(sent, "x-envoy-max-retries") ?? "2";
  expect(Number(retries)).toBe(destinations.length - 1);
  return destinations.toSorted();
}

const NOBODY = { status: 503, code: "no_endpoints", reason: "rejected-no-endpoints" };

describe.each<[string, object, (gateway: Gateway, entries: readonly string[]) => unknown]>([
  ["metadata, a list", { subsetHint: "metadata" }, (gateway, entries) => reach(gateway, list(entries))],
  ["metadata, a text", { subsetHint: "metadata" }, (gateway, entries) => reach(gateway, entries.join(","))],
  [
    "a trusted header",
    { trustSubsetHeader: true },
    (gateway, entries) => reach(gateway, undefined, entries.join(", ")),
  ],
])("by %s", (_, configuration, pick) => {
  test("an entry with a port names one endpoint, one without all of that address", () => {
    const gateway = serving(configuration);
    expect(pick(gateway, ["10.0.0.2:8000"])).toEqual(["10.0.0.2:8000"]);
    expect(pick(gateway, ["10.0.0.1"])).toEqual(["10.0.0.1:8000", "10.0.0.1:8001"]);
    expect(pick(gateway, ["10.0.0.1:8001", "10.0.0.2"])).toEqual(["10.0.0.1:8001", "10.0.0.2:8000"]);
    expect(pick(gateway, ["[fd00::1]:8000"])).toEqual(["[fd00::1]:8000"]);
    for (const host of ["fd00::1", "[fd00::1]"]) expect(pick(gateway, [host])).toEqual(["[fd00::1]:8000"]);
    expect(pick(gateway, ["10.0.0.1", "10.0.0.9:1", "10.0.0.20"])).toEqual([
      "10.0.0.1:8000",
      "10.0.0.1:8001",
      "10.0.0.20:8000",
    ]);
  });

  test("nobody of it there, or an empty one: 503, also where the pool fails open", () => {
    for (const failOpen of [false, true]) {
      const gateway = serving(configuration, failOpen);
      for (const entries of [["10.0.0.1:9000"], ["10.0.0"], ["fd00::2"], []]) {
        expect(pick(gateway, entries)).toMatchObject(NOBODY);
      }
    }
  });

  test("an endpoint of it that is down is asked all the same", () => {
    const gateway = serving(configuration);
    const failing = gateway.worker.drive({ body: CHAT, upstream: { address: "10.0.0.2:8000", status: 503 } });
    expect(failing.destination).toBeDefined();
    expect(pick(gateway, ["10.0.0.2:8000"])).toEqual(["10.0.0.2:8000"]);
  });
});

test("of both the metadata counts", () => {
  const gateway = serving({ subsetHint: "metadata", trustSubsetHeader: true });
  expect(reach(gateway, list(["10.0.0.2:8000"]), "10.0.0.1")).toEqual(["10.0.0.2:8000"]);
});

test("neither has an effect where the configuration does not name it, and costs nothing", () => {
  const gateway = serving({});
  gateway.worker.drive({ body: CHAT });
  const before = gateway.worker.vm.log.countOf("proxy_get_property");
  expect(reach(gateway, list(["10.0.0.2:8000"]), "10.0.0.2:8000")).toHaveLength(3);
  expect(gateway.worker.vm.log.countOf("proxy_get_property")).toBe(before);
});

test("the next request is not bound by it", () => {
  const gateway = serving({ trustSubsetHeader: true });
  expect(reach(gateway, undefined, "10.0.0.2:8000")).toHaveLength(1);
  expect(reach(gateway, undefined)).toHaveLength(3);
});

test("values that Envoy would never hand over bind to nobody", () => {
  const gateway = serving({ subsetHint: "metadata" });
  const good = list(["10.0.0.2:8000"]);
  const broken = [good.subarray(0, 4), good.subarray(0, 15), Buffer.from([255, 255, 255, 0, 1, 2, 3])];
  const long = Buffer.from(good);
  long.writeUInt32LE(0xffffffff, 4);
  for (const hint of [...broken, long]) expect(reach(gateway, hint)).toMatchObject(NOBODY);
});
