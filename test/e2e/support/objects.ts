// The folder of Kubernetes objects that the agent watches, one file per object, replaced by rename.

import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { stringify } from "yaml";

export interface PoolSpec {
  readonly name: string;
  readonly port: number;
  /** Further ports of each pod. */
  readonly morePorts?: readonly number[];
  readonly failureMode?: "FailOpen" | "FailClose";
  readonly appProtocol?: "http" | "kubernetes.io/h2c";
}

export interface PodSpec {
  readonly name: string;
  readonly ip: string;
  /** Name of the pool it belongs to. */
  readonly pool: string;
  readonly ready?: boolean;
  /** Beside the one that the pool selects by. */
  readonly labels?: Readonly<Record<string, string>>;
}

export class Objects {
  readonly #root = mkdtempSync(join(tmpdir(), "pointsman-objects-"));
  readonly dir = mkdtempSync(join(this.#root, "watched-"));

  putPool({ name, port, morePorts = [], failureMode = "FailClose", appProtocol }: PoolSpec): void {
    const pool = {
      apiVersion: "inference.networking.k8s.io/v1",
      kind: "InferencePool",
      metadata: { name, namespace: "default" },
      spec: {
        selector: { matchLabels: { app: name } },
        targetPorts: [port, ...morePorts].map((number) => ({ number })),
        ...(appProtocol === undefined ? {} : { appProtocol }),
        endpointPickerRef: { name: "pointsman", port: { number: 9002 }, failureMode },
      },
    };
    this.put(`pool-${name}`, stringify(pool));
  }

  putPod({ name, ip, pool, ready = true, labels = {} }: PodSpec): void {
    const pod = {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name, namespace: "default", labels: { app: pool, ...labels } },
      status: { podIP: ip, conditions: [{ type: "Ready", status: ready ? "True" : "False" }] },
    };
    this.put(`pod-${name}`, stringify(pod));
  }

  removePod(name: string): void {
    rmSync(join(this.dir, `pod-${name}.yaml`));
  }

  put(name: string, text: string): void {
    const written = join(this.#root, "new");
    writeFileSync(written, text);
    renameSync(written, join(this.dir, `${name}.yaml`));
  }

  delete(): void {
    rmSync(this.#root, { recursive: true, force: true });
  }
}
