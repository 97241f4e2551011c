"""The same three requests as every kind of trace writes them: at 0, 0.5 and 2 s."""

TRACES = {
    "azure.csv": """TIMESTAMP,ContextTokens,GeneratedTokens
2023-11-16 18:17:03.9799600,600,10
2023-11-16 18:17:04.4799600,1200,8
2023-11-16 18:17:05.9799600,20,1
""",
    "azure_week.csv": """TIMESTAMP,ContextTokens,GeneratedTokens
2024-05-10 23:59:59+00:00,600,10
2024-05-10 23:59:59.500000+00:00,1200,8
2024-05-11 02:00:01+02:00,20,1
""",
    "mooncake.jsonl": """{"timestamp": 27000, "input_length": 600, "output_length": 10, "hash_ids": [0, 1]}
{"timestamp": 27500, "input_length": 1200, "output_length": 8, "hash_ids": [0, 1, 2]}
{"timestamp": 29000, "input_length": 20, "output_length": 1, "hash_ids": [3]}
""",
    "burst.csv": """Timestamp,Session ID,Elapsed time,Model,Request tokens,Response tokens,Total tokens,Log Type
5,a,1.2,ChatGPT,600,10,610,Conversation log
5.5,b,1.2,ChatGPT,1200,8,1208,Conversation log
7,a,1.2,ChatGPT,20,1,21,Conversation log
""",
    "apex.csv": """StartTimeOffset,ContextTokens,GeneratedTokens
0,600,10
500000000,1200,8
2000000000,20,1
""",
    "llmservingsim.csv": """input_toks,output_toks,arrival_time_ns
600,10,0
1200,8,500000000
20,1,2000000000
""",
    "vidur.csv": """,arrived_at,num_prefill_tokens,num_decode_tokens
0,10.0,600,10
1,10.5,1200,8
2,12.0,20,1
""",
    "own.csv": """Arrival-S, prompt_tokens, output_tokens
1,600,10

1.5,1200,8
3,20,1""",
    "own.jsonl": """{"arrival_ms": 0, "prompt_len": 600, "output_len": 10}

{"arrival_ms": 500, "prompt_len": 1200.0, "output_len": 8}
{"arrival_ms": 2000, "prompt_len": 20, "output_len": 1}""",
    "dates.jsonl": """{"timestamp": "2026-01-01T00:00:00Z", "input_tokens": 600, "output_tokens": 10}
{"timestamp": "2026-01-01T00:00:00.5Z", "input_tokens": 1200, "output_tokens": 8}
{"timestamp": "2026-01-01T00:00:02Z", "input_tokens": 20, "output_tokens": 1}
""",
}


def write(folder, name, text):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path
