// What real clients send, as their libraries write it (member order, blanks, escapes), shortened, and the
// prompt that it is by the reference's rules. Written down and reviewed by hand.

import {
  API_CHAT,
  API_COMPLETIONS,
  API_EMBEDDINGS,
  API_MESSAGES,
  API_RESPONSES,
  API_SGLANG_GENERATE,
  API_VLLM_GENERATE,
} from "../../src/wire/program.ts";

export interface ClientRequest {
  readonly client: string;
  readonly api: number;
  readonly body: string;
  /** Text of each prompt before it is padded; of token ids the numbers. */
  readonly prompts: readonly (string | readonly number[])[];
  readonly salt?: string;
  readonly maxOutput?: number;
}

const WEATHER_TOOL =
  '{"type":"function","function":{"name":"get_weather","description":"Weather of a city","parameters":' +
  '{"type":"object","properties":{"city":{"type":"string"},"unit":{"type":"string","enum":["c","f"]}},' +
  '"required":["city"]}}}';
/** Its members by name. */
const WEATHER_TOOL_SORTED =
  '{"function":{"description":"Weather of a city","name":"get_weather","parameters":' +
  '{"properties":{"city":{"type":"string"},"unit":{"enum":["c","f"],"type":"string"}},' +
  '"required":["city"],"type":"object"}},"type":"function"}';

export const clientRequests: readonly ClientRequest[] = [
  {
    client: "curl, as vLLM's documentation shows it",
    api: API_CHAT,
    body: `{
    "model": "Qwen/Qwen2.5-1.5B-Instruct",
    "messages": [
        {"role": "system", "content": "You are a helpful assistant."},
        {"role": "user", "content": "Who won the world series in 2020?"}
    ]
}`,
    prompts: ["systemYou are a helpful assistant.userWho won the world series in 2020?"],
  },
  {
    client: "openai-python, tools and limits behind the messages",
    api: API_CHAT,
    body:
      '{"messages":[{"role":"user","content":"How warm is it in Zürich? <now>"},{"role":"assistant","content":null,' +
      '"tool_calls":[{"id":"call_1","type":"function","function":{"name":"get_weather",' +
      '"arguments":"{\\"city\\":\\"Zürich\\"}"}}]},' +
      '{"role":"tool","tool_call_id":"call_1","content":"21 °C"}],"model":"meta-llama/Llama-3.1-8B-Instruct",' +
      '"max_completion_tokens":256,"max_tokens":100,"stream":true,"stream_options":{"include_usage":true},' +
      `"tools":[${WEATHER_TOOL}]}`,
    prompts: [`[${WEATHER_TOOL_SORTED}]userHow warm is it in Zürich? <now>assistanttool21 °C`],
    maxOutput: 256,
  },
  {
    client: "python's requests, which escapes all but ASCII",
    api: API_CHAT,
    body:
      '{"model": "m", "messages": [{"role": "user", "content": "\\u4f60\\u597d \\ud83d\\ude00 ' +
      '\\"q\\"\\n"}], "cache_salt": "tenant-7"}',
    prompts: ['user你好 😀 "q"\n'],
    salt: "tenant-7",
  },
  {
    client: "openai-node, parts of a message",
    api: API_CHAT,
    body:
      '{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"one "},{"type":"text",' +
      '"text":"two",' +
      '"cache_control":{"type":"ephemeral"}},{"type":"refusal","refusal":"no"}]}]}',
    prompts: ["userone two"],
  },
  {
    client: "vllm bench serve",
    api: API_COMPLETIONS,
    body:
      '{"model": "m", "prompt": "Once upon a time\\n\\n", "repetition_penalty": 1.0, "max_tokens": 128, ' +
      '"logprobs": null, ' +
      '"stream": true, "stream_options": {"include_usage": true}, "ignore_eos": true, "temperature": 0.0}',
    prompts: ["Once upon a time\n\n"],
    maxOutput: 128,
  },
  {
    client: "lm-eval, a batch of texts",
    api: API_COMPLETIONS,
    body:
      '{"prompt": ["The capital of France is", "2 + 2 =", ""], "model": "m", "max_tokens": 1, ' +
      '"temperature": 0, "logprobs": 1, "seed": 1234, "echo": true}',
    prompts: ["The capital of France is", "2 + 2 ="],
    maxOutput: 1,
  },
  {
    client: "lm-eval, tokens",
    api: API_COMPLETIONS,
    body: '{"prompt": [128000, 791, 6864, 315, 9822, 374], "model": "m", "max_tokens": 1, "temperature": 0}',
    prompts: [[128000, 791, 6864, 315, 9822, 374]],
    maxOutput: 1,
  },
  {
    client: "openai-python, embeddings",
    api: API_EMBEDDINGS,
    body: '{"input":["first","second & last"],"model":"m","encoding_format":"base64"}',
    prompts: ['{"Raw":"","Strings":["first","second \\u0026 last"],"TokenIDs":null}'],
  },
  {
    client: "langchain, embeddings as tokens",
    api: API_EMBEDDINGS,
    body: '{"input": [9906, 1917], "model": "m", "encoding_format": "base64"}',
    prompts: [[9906, 1917]],
  },
  {
    client: "openai-python, responses",
    api: API_RESPONSES,
    body:
      '{"input":[{"role":"user","content":"Hello"}],"instructions":"Be brief.","model":"m","max_output_tokens":64,' +
      '"store":false,"tools":[{"type":"web_search","name":"s"}]}',
    prompts: [
      '[{"instructions":"Be brief."},{"tools":[{"name":"s","type":"web_search"}]},' +
        '{"input":[{"content":"Hello","role":"user"}]}]',
    ],
    maxOutput: 64,
  },
  {
    client: "Claude Code",
    api: API_MESSAGES,
    body:
      '{"model":"m","messages":[{"role":"user","content":[{"type":"text",' +
      '"text":"<system-reminder>\\nx\\n</system-reminder>"},' +
      '{"type":"text","text":"list the files","cache_control":{"type":"ephemeral"}}]},{"role":"assistant",' +
      '"content":[' +
      '{"type":"thinking","thinking":"They want ls.","signature":"Ep4"},{"type":"text","text":"Sure."},' +
      '{"type":"tool_use","id":"toolu_1","name":"Bash","input":{"command":"ls", "b":1.0}}]},{"role":"user",' +
      '"content":[' +
      '{"tool_use_id":"toolu_1","type":"tool_result","content":[{"type":"text","text":"a.txt"},' +
      '{"type":"text","text":"b.txt"}]}]}],' +
      '"system":[{"type":"text","text":"x-anthropic-billing-header: cc_version=2.0.1.abc;"},' +
      '{"type":"text","text":"You are Claude Code.","cache_control":{"type":"ephemeral"}}],' +
      '"tools":[{"name":"Bash","description":"Runs a command && shows it","input_schema":{"type": "object",' +
      '"properties":{"command":{"type":"string"}}}}],' +
      '"metadata":{"user_id":"u"},"max_tokens":32000,"stream":true}',
    prompts: [
      '[{"name":"Bash","description":"Runs a command \\u0026\\u0026 shows it",' +
        '"input_schema":{"type":"object","properties":{"command":{"type":"string"}}}}]' +
        "You are Claude Code.user<system-reminder>\nx\n</system-reminder>list the filesassistantThey want ls.Sure." +
        'toolu_1Bash{"command":"ls", "b":1.0}usera.txt\nb.txt',
    ],
    maxOutput: 32_000,
  },
  {
    client: "python's requests to the Anthropic API, a tool's schema with blanks",
    api: API_MESSAGES,
    body:
      '{"model": "m", "max_tokens": 16, "tools": [{"name": "dice", "input_schema": {"type": "object", "properties": ' +
      '{"sides": {"enum": [4, 6, 8,  20], "default": 6}, "times": {"type": "integer", "minimum": 1}}}}], ' +
      '"messages": [{"role": "user", "content": "roll"}]}',
    prompts: [
      '[{"name":"dice","input_schema":{"type":"object","properties":' +
        '{"sides":{"enum":[4,6,8,20],"default":6},"times":{"type":"integer","minimum":1}}}}]userroll',
    ],
    maxOutput: 16,
  },
  {
    client: "anthropic-python",
    api: API_MESSAGES,
    body:
      '{"max_tokens":1024,"messages":[{"role":"user","content":"Hello, Claude"}],"model":"m","system":"Be ' + 'kind."}',
    prompts: ["Be kind.userHello, Claude"],
    maxOutput: 1024,
  },
  {
    client: "vLLM's disaggregated frontend",
    api: API_VLLM_GENERATE,
    body:
      '{"request_id": "r1", "model": "m", "token_ids": [1, 2, 3], "sampling_params": {"max_tokens": 10, ' +
      '"temperature": 0.0}, "stream": false, "cache_salt": "s"}',
    prompts: [[1, 2, 3]],
    salt: "s",
    maxOutput: 10,
  },
  {
    client: "SGLang's runtime",
    api: API_SGLANG_GENERATE,
    body:
      '{"input_ids": [5, 6, 7, 8, 9], "sampling_params": {"max_new_tokens": 16, "temperature": 0}, ' +
      '"extra_key": "k", "stream": true}',
    prompts: [[5, 6, 7, 8, 9]],
    salt: "k",
    maxOutput: 16,
  },
];
