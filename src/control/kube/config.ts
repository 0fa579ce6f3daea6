// Where the API server is and who we are to it: in a pod its service account, else a kubeconfig file.

import { existsSync, readFileSync } from "node:fs";
import { KubeConfig } from "@kubernetes/client-node";

/** What the kubelet mounts into a pod. */
const SERVICE_ACCOUNT_TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount/token";

const TOKEN_PROVIDER = "service-account-token";

/** Why there is no API server to talk to; a sentence for the person who started the agent. */
export class KubeConfigError extends Error {}

/**
 * Reads the configuration: of kubeconfig's `context` where one is named, of the pod's service account inside a
 * cluster, else of kubeconfig's current context ($KUBECONFIG or ~/.kube/config). Throws a KubeConfigError.
 */
export function loadKubeConfig(context: string | undefined): KubeConfig {
  const config = new KubeConfig();
  if (context === undefined && isInCluster()) return inCluster(config);
  const where = process.env.KUBECONFIG ?? "~/.kube/config";
  try {
    config.loadFromDefault();
  } catch (error) {
    throw new KubeConfigError(`${where}: expected a kubeconfig file: ${(error as Error).message}`);
  }
  if (context !== undefined) {
    const names = config.getContexts().map(({ name }) => name);
    if (!names.includes(context))
      throw new KubeConfigError(`context ${context}: expected one of ${where}: ${names.join(", ") || "it has none"}`);
    config.setCurrentContext(context);
  }
  // Without a file the client assumes a server on localhost, which is nobody's wish.
  if (config.getCurrentContext() === "loaded-context" || config.getCurrentCluster() === null)
    throw new KubeConfigError(`no API server: expected a pod's service account, $KUBECONFIG or ~/.kube/config`);
  return config;
}

/** The same context of the file as it is now, for tokens that were renewed in it. Throws a KubeConfigError. */
export function rereadKubeConfig(config: KubeConfig): KubeConfig {
  // A pod's token is read whenever it is asked for.
  const isInPod = config.getUsers().some(({ authProvider }) => authProvider?.name === TOKEN_PROVIDER);
  return isInPod ? config : loadKubeConfig(config.getCurrentContext());
}

/** The namespace that the pod or the context is in. */
export function namespaceOf(config: KubeConfig): string {
  return config.getContextObject(config.getCurrentContext())?.namespace ?? "default";
}

/** The client keeps a token for a minute, also one that is refused; ours is read whenever it is asked for. */
function inCluster(config: KubeConfig): KubeConfig {
  config.loadFromCluster();
  const users = config.getUsers().map(({ name }) => ({ name, authProvider: { name: TOKEN_PROVIDER, config: {} } }));
  const { clusters, contexts, currentContext } = config;
  config.loadFromOptions({ clusters, contexts, users, currentContext });
  config.addAuthenticator({
    isAuthProvider: ({ authProvider }) => authProvider?.name === TOKEN_PROVIDER,
    applyAuthentication: async (_, options) => {
      const token = readFileSync(SERVICE_ACCOUNT_TOKEN, "latin1").trim();
      options.headers = { ...options.headers, Authorization: `Bearer ${token}` };
    },
  });
  return config;
}

function isInCluster(): boolean {
  return Boolean(process.env.KUBERNETES_SERVICE_HOST) && existsSync(SERVICE_ACCOUNT_TOKEN);
}
