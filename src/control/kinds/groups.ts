// The API groups that kinds are read in. A kind that has moved to another group keeps its name.

export const GROUP_POOL = "inference.networking.k8s.io";
export const GROUP_LLM_D = "llm-d.ai";
/** Where all kinds but Pod began. */
export const GROUP_OLDER = "inference.networking.x-k8s.io";
