// What the objects say about models: objectives, and which model a request is sent for. Each pool has such a
// section in a topology blob; its pool row says where. Little-endian, every row a multiple of 8 bytes:
//
//   MODELS, objectiveCount × OBJECTIVE, modelCount × MODEL, targetCount × TARGET
//
// Texts lie in the blob's heap. Objectives and models are sorted by the hash (unsigned) and then the bytes of
// their names, so that a name is found by halving; no name is there twice.

// Models, 32 bytes
// ┌──────────────┬──────────────┬──────────────┬──────────────┐
// │ objective    │ modelCount   │ targetCount  │ generic   u32│ 0    generic: number of the model row whose
// │ Count     u32│ u32          │ u32          │ or NONE      │      targets are for models that have none
// ├──────────────┴──────────────┴──────────────┴──────────────┤
// │ reserved                                                  │ 16
// └───────────────────────────────────────────────────────────┘
export const MODELS_BYTES: u32 = 32;
export const O_OBJECTIVE_COUNT: u32 = 0;
export const O_MODEL_COUNT: u32 = 4;
export const O_TARGET_COUNT: u32 = 8;
/** The row itself is the last one, after those sorted by name, and counts in modelCount; its name is empty. */
export const O_GENERIC: u32 = 12;

// Objective, 24 bytes: an InferenceObjective of the pool, found by the value of the objective header.
// ┌─────────────────────────────┬──────────────┬──────────────┐
// │ nameHash                 u64│ nameOffset   │ nameLength   │ 0    FNV-1a of its name
// ├──────────────┬──────────────┼──────────────┴──────────────┘
// │ priority  i32│ reserved     │                               16
// └──────────────┴──────────────┘
export const OBJECTIVE_BYTES: u32 = 24;
export const OBJECTIVE_NAME_HASH: u32 = 0;
export const OBJECTIVE_NAME_OFFSET: u32 = 8;
export const OBJECTIVE_NAME_LENGTH: u32 = 12;
export const OBJECTIVE_PRIORITY: u32 = 16;

// Model, 48 bytes: a name that requests may have, and what they are sent for in its place.
// ┌─────────────────────────────┬──────────────┬──────────────┐
// │ nameHash                 u64│ nameOffset   │ nameLength   │ 0    FNV-1a of its name
// ├──────────────┬──────────────┼──────────────┼──────────────┤
// │ firstTarget  │ targetCount  │ totalWeight  │ priority  i32│ 16   no target: nothing is rewritten by name
// │ u32          │ u32          │ u32          │              │
// ├──────────────┼──────────────┼──────────────┼──────────────┤
// │ flags     u32│ reserved     │ ruleOffset   │ ruleLength   │ 32   name of the object the targets come from
// └──────────────┴──────────────┴──────────────┴──────────────┘
export const MODEL_BYTES: u32 = 48;
export const MODEL_NAME_HASH: u32 = 0;
export const MODEL_NAME_OFFSET: u32 = 8;
export const MODEL_NAME_LENGTH: u32 = 12;
export const MODEL_FIRST_TARGET: u32 = 16;
export const MODEL_TARGET_COUNT: u32 = 20;
/** Of all its targets; 0 without targets. Targets without weights have 1 each. */
export const MODEL_TOTAL_WEIGHT: u32 = 24;
export const MODEL_PRIORITY: u32 = 28;
export const MODEL_FLAGS: u32 = 32;
export const MODEL_RULE_OFFSET: u32 = 40;
export const MODEL_RULE_LENGTH: u32 = 44;

// Bits of MODEL_FLAGS
/** An InferenceModel says how critical it is: MODEL_PRIORITY counts unless an objective is named. */
export const HAS_PRIORITY: u32 = 1;
/** Requests for this model go to this pool when nothing else says where to: its oldest object is this pool's. */
export const ROUTES: u32 = 2;

// Target, 16 bytes
// ┌──────────────┬──────────────┬──────────────┬──────────────┐
// │ nameOffset   │ nameLength   │ upTo      u32│ reserved     │ 0    upTo: its weight and those of the
// │ u32          │ u32          │              │              │      targets of this model before it
// └──────────────┴──────────────┴──────────────┴──────────────┘
export const TARGET_BYTES: u32 = 16;
export const TARGET_NAME_OFFSET: u32 = 0;
export const TARGET_NAME_LENGTH: u32 = 4;
export const TARGET_UP_TO: u32 = 8;

/** Priorities that stand for the criticality of an InferenceModel. */
export const PRIORITY_CRITICAL = 1;
export const PRIORITY_STANDARD = 0;
export const PRIORITY_SHEDDABLE = -1;
