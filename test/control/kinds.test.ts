// API versions to the internal form.

import { describe, expect, test } from "vitest";
import { inferencePoolV1 } from "../../src/control/kinds/inference-pool.ts";
import { podV1 } from "../../src/control/kinds/pod.ts";

function pool(spec: object): unknown {
  return { apiVersion: "inference.networking.k8s.io/v1", kind: "InferencePool", metadata: { name: "p" }, spec };
}

function pod(metadata: object, status: unknown): unknown {
  return { apiVersion: "v1", kind: "Pod", metadata: { name: "a", ...metadata }, status };
}

const SELECTOR = { matchLabels: { app: "m" } };
const READY = [{ type: "Ready", status: "True", lastProbeTime: null }];

describe("InferencePool", () => {
  test("defaults", () => {
    expect(inferencePoolV1(pool({ selector: SELECTOR, targetPorts: [{ number: 8000 }] }))).toEqual({
      ok: true,
      value: {
        kind: "InferencePool",
        namespace: "default",
        name: "p",
        matchLabels: { app: "m" },
        targetPorts: [8000],
        appProtocol: "http",
        failureMode: "FailClose",
      },
    });
  });

  test("everything given", () => {
    const converted = inferencePoolV1(
      pool({
        selector: SELECTOR,
        targetPorts: [{ number: 8001 }, { number: 8000 }],
        appProtocol: "kubernetes.io/h2c",
        endpointPickerRef: { name: "x", port: { number: 9002 }, failureMode: "FailOpen" },
      }),
    );
    expect(converted).toMatchObject({
      ok: true,
      value: { targetPorts: [8001, 8000], appProtocol: "h2c", failureMode: "FailOpen" },
    });
  });

  test.each([
    ["no selector", { targetPorts: [{ number: 1 }] }, "spec.selector: expected a mapping, found nothing"],
    ["no ports", { selector: SELECTOR, targetPorts: [] }, "spec.targetPorts: expected a list of 1 to 8"],
    ["a port twice", { selector: SELECTOR, targetPorts: [{ number: 1 }, { number: 1 }] }, "spec.targetPorts: expected"],
    [
      "nine ports",
      { selector: SELECTOR, targetPorts: Array.from({ length: 9 }, (_, i) => ({ number: i + 1 })) },
      "spec.targetPorts: expected a list of 1 to 8",
    ],
    [
      "port 0",
      { selector: SELECTOR, targetPorts: [{ number: 0 }] },
      "spec.targetPorts[0].number: expected a port number",
    ],
    [
      "a port in quotes",
      { selector: SELECTOR, targetPorts: [{ number: "80" }] },
      "spec.targetPorts[0].number: expected",
    ],
    [
      "65 labels",
      {
        selector: { matchLabels: Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`l${i}`, "x"])) },
        targetPorts: [{ number: 1 }],
      },
      "spec.selector.matchLabels: expected 1 to 64 labels",
    ],
    [
      "a number as label",
      { selector: { matchLabels: { version: 1 } }, targetPorts: [{ number: 1 }] },
      "spec.selector.matchLabels.version: expected text (put numbers, true and false in quotes), found 1",
    ],
    [
      "an unknown failure mode",
      { selector: SELECTOR, targetPorts: [{ number: 1 }], endpointPickerRef: { failureMode: "Open" } },
      'spec.endpointPickerRef.failureMode: expected FailOpen or FailClose, found "Open"',
    ],
    [
      "an unknown protocol",
      { selector: SELECTOR, targetPorts: [{ number: 1 }], appProtocol: "https" },
      'spec.appProtocol: expected http or kubernetes.io/h2c, found "https"',
    ],
  ])("%s is refused", (_, spec, reason) => {
    const converted = inferencePoolV1(pool(spec));
    expect(converted.ok ? "" : converted.misfit.reason).toContain(reason);
  });
});

describe("Pod", () => {
  test("ready with an address", () => {
    expect(podV1(pod({ namespace: "n", labels: { app: "m" } }, { podIP: "10.0.0.1", conditions: READY }))).toEqual({
      ok: true,
      value: {
        kind: "Pod",
        namespace: "n",
        name: "a",
        labels: { app: "m" },
        ip: "10.0.0.1",
        ready: true,
        activePorts: undefined,
      },
    });
  });

  test.each([
    ["no status", {}, null, { ready: false, ip: undefined }],
    ["not ready", {}, { podIP: "10.0.0.1", conditions: [{ type: "Ready", status: "False" }] }, { ready: false }],
    ["another condition", {}, { conditions: [{ type: "ContainersReady", status: "True" }] }, { ready: false }],
    ["being deleted", { deletionTimestamp: "2026-01-01T00:00:00Z" }, { conditions: READY }, { ready: false }],
    [
      "null means absent",
      { labels: null, deletionTimestamp: null },
      { podIP: null, conditions: READY },
      { ready: true },
    ],
    ["IPv6 as Envoy writes it", {}, { podIP: "FD00:0:0::01" }, { ip: "fd00::1" }],
    ["IPv4 in IPv6", {}, { podIP: "::FFFF:10.0.0.1" }, { ip: "::ffff:10.0.0.1" }],
    ["active ports", { annotations: { "llm-d.ai/active-ports": "8000, 8001" } }, {}, { activePorts: [8000, 8001] }],
    [
      "active ports, older name",
      { annotations: { "inference.networking.k8s.io/active-ports": "8001" } },
      {},
      { activePorts: [8001] },
    ],
  ])("%s", (_, metadata, status, expected) => {
    expect(podV1(pod(metadata, status))).toMatchObject({ ok: true, value: expected });
  });

  test.each([
    ["a host name", {}, { podIP: "localhost" }, "status.podIP: expected an IPv4 or IPv6 address"],
    ["a zone", {}, { podIP: "fe80::1%eth0" }, "status.podIP: expected"],
    [
      "a bare True",
      {},
      { conditions: [{ type: "Ready", status: true }] },
      'status.conditions[0].status: expected one of the texts "True"',
    ],
    [
      "a port that is none",
      { annotations: { "llm-d.ai/active-ports": "8000,x" } },
      {},
      "metadata.annotations.llm-d.ai/active-ports: expected port numbers",
    ],
    ["a path as name", { name: "../a" }, {}, "metadata.name: expected a name"],
    ["a namespace with a dot", { namespace: "a.b" }, {}, "metadata.namespace: expected a namespace"],
  ])("%s is refused", (_, metadata, status, reason) => {
    const converted = podV1(pod(metadata, status));
    expect(converted.ok ? "" : converted.misfit.reason).toContain(reason);
  });
});
