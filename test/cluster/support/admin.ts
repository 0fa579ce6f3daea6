// What tests do to a cluster, by plain HTTP: the agent's own client is under test.

import { Agent, type Dispatcher, request } from "undici";
import { eventually } from "../../e2e/support/eventually.ts";
import { collectionOf, type KubeObject, type PodSpec, pathOf, pod, podStatus } from "./objects.ts";
import { ADMIN_TOKEN } from "./processes.ts";

/** A pod with the status that its kubelet would write. */
export interface RunningPodSpec extends PodSpec {
  readonly ip: string;
  readonly ready?: boolean;
}

/** What the API server refused. */
export class Refused extends Error {
  readonly status: number;

  constructor(message: string, status: number) {
    super(message);
    this.status = status;
  }
}

const FIELD_MANAGER = { fieldManager: "test", force: "true" };
const CALL_MS = 10_000;

export class Admin {
  readonly #server: string;
  readonly #dispatcher: Agent;

  constructor(server: string, ca: string) {
    this.#server = server;
    this.#dispatcher = new Agent({ connect: { ca } });
  }

  /** Creates the object or makes it so. Answers with what the server holds then. */
  apply(object: KubeObject): Promise<KubeObject> {
    return this.call("PATCH", pathOf(object), { body: object, type: "apply-patch+yaml", query: FIELD_MANAGER });
  }

  /** Puts it in the place of what is there, whatever that is. */
  async replace(object: KubeObject): Promise<KubeObject> {
    const { metadata } = await this.get(object);
    const { resourceVersion } = metadata;
    return this.call("PUT", pathOf(object), { body: { ...object, metadata: { ...object.metadata, resourceVersion } } });
  }

  /** Changes the fields given, by a merge patch. */
  patch(object: KubeObject, change: object, subresource = ""): Promise<KubeObject> {
    return this.call("PATCH", `${pathOf(object)}${subresource}`, { body: change, type: "merge-patch+json" });
  }

  get(object: KubeObject): Promise<KubeObject> {
    return this.call("GET", pathOf(object));
  }

  async list(apiVersion: string, kind: string, namespace?: string): Promise<readonly KubeObject[]> {
    const answer = await this.call("GET", collectionOf(apiVersion, kind, namespace));
    return (answer as unknown as { readonly items: readonly KubeObject[] }).items;
  }

  /** It need not be there. */
  async remove(object: KubeObject): Promise<void> {
    await this.call("DELETE", pathOf(object)).catch((error: Error) => {
      if (!(error instanceof Refused && error.status === 404)) throw error;
    });
  }

  /** Creates the pod or makes it so, and writes its status. */
  async pod(name: string, { ip, ready = true, ...spec }: RunningPodSpec): Promise<KubeObject> {
    const object = pod(name, spec);
    await this.apply(object);
    return this.patch(object, { status: podStatus(ip, ready) }, "/status");
  }

  /** One write, as when the kubelet hears of a probe. */
  setReady(
    name: string,
    { ip, ready, namespace }: { ip: string; ready: boolean; namespace?: string },
  ): Promise<unknown> {
    const object = pod(name, namespace === undefined ? {} : { namespace });
    return this.patch(object, { status: podStatus(ip, ready) }, "/status");
  }

  /** A service account's token; one that is bound to a secret is refused, some ten seconds after the secret is gone. */
  async token(
    namespace: string,
    account: string,
    { expirationSeconds = 3_600, secret }: { readonly expirationSeconds?: number; readonly secret?: string } = {},
  ): Promise<string> {
    const to = { apiVersion: "v1", kind: "ServiceAccount", metadata: { name: account, namespace } };
    const boundObjectRef = secret === undefined ? {} : { apiVersion: "v1", kind: "Secret", name: secret };
    const spec = { expirationSeconds, ...(secret === undefined ? {} : { boundObjectRef }) };
    const body = { apiVersion: "authentication.k8s.io/v1", kind: "TokenRequest", spec };
    const answer = await this.call("POST", `${pathOf(to)}/token`, { body });
    return (answer as unknown as { readonly status: { readonly token: string } }).status.token;
  }

  /** Applies the definition and waits until the server serves its kind. */
  async define(crd: KubeObject): Promise<void> {
    await this.apply(crd);
    // What serves a kind is made when it is asked for; until then it answers 404 or 429.
    await eventually(() => this.#isServed(crd), Boolean, CALL_MS);
  }

  /** Deletes the definition and all objects of its kind, and waits until they are gone. */
  async undefine(crd: KubeObject): Promise<void> {
    await this.remove(crd);
    await eventually(
      () => this.#isServed(crd),
      (isServed) => !isServed,
      CALL_MS,
    );
  }

  async call(
    method: Dispatcher.HttpMethod,
    path: string,
    { body, type = "json", query = {} }: { body?: object; type?: string; query?: Record<string, string> } = {},
  ): Promise<KubeObject> {
    const answer = await request(this.#server + path, {
      method,
      query,
      headers: { authorization: `Bearer ${ADMIN_TOKEN}`, "content-type": `application/${type}` },
      body: body === undefined ? null : JSON.stringify(body),
      dispatcher: this.#dispatcher,
      signal: AbortSignal.timeout(CALL_MS),
    });
    const text = await answer.body.text();
    if (answer.statusCode >= 300)
      throw new Refused(`${method} ${path}: ${answer.statusCode} ${text}`, answer.statusCode);
    return text === "ok" ? ({ ok: true } as unknown as KubeObject) : (JSON.parse(text) as KubeObject);
  }

  async close(): Promise<void> {
    await this.#dispatcher.destroy();
  }

  async #isServed({ spec }: KubeObject): Promise<boolean> {
    const { group, names, versions } = spec as {
      readonly group: string;
      readonly names: { readonly plural: string };
      readonly versions: readonly { readonly name: string; readonly served: boolean }[];
    };
    const { name } = versions.find(({ served }) => served)!;
    try {
      await this.call("GET", `/apis/${group}/${name}/${names.plural}`, { query: { limit: "1" } });
      return true;
    } catch (error) {
      if (error instanceof Refused) return false;
      throw error;
    }
  }
}
