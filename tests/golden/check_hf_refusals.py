"""What of a Hugging Face configuration is not computed exactly is refused by name.

check_hf_refusals.py PROGRAM MODEL_FOLDER...        small folders, as tests/golden/hf

`kappascope info` of each folder with one field changed: exit code, and the words that must be in the one line.
"""
import json, pathlib, shutil, subprocess, sys, tempfile

NULL = object()  # a field that is null; None: one that is not there

CASES = [  # folder, changed fields (None: taken out), code, words
    ('mixtral-window', {}, 0, []),
    ('mixtral-window', {'hidden_act': 'gelu'}, 4, ['hidden_act', 'mixtral', 'silu', 'gelu']),
    ('mixtral-window', {'rope_scaling': {'type': 'ntk', 'factor': 4.0}}, 4,
     ['rope_scaling.type', 'default, linear, dynamic, llama3, yarn, longrope', 'ntk']),
    ('mixtral-window', {'rope_scaling': {'type': 'longrope', 'long_factor': [1, 2, 3, 4, 5, 6, 7, 8]}}, 3,
     ['rope_scaling.short_factor', 'missing', '8 numbers']),
    ('mixtral-window', {'rope_scaling': {'type': 'longrope', 'short_factor': [1], 'long_factor': [0] * 8}}, 4,
     ['rope_scaling.short_factor', 'rope_scaling.long_factor', '8 numbers > 0']),
    ('mixtral-window', {'partial_rotary_factor': 0.5}, 4, ['partial_rotary_factor', '0.5']),
    ('mixtral-window', {'quantization_config': {'quant_method': 'gptq'}}, 4, ['quant_method', 'gptq']),
    ('mixtral-window', {'num_experts_per_tok': 5}, 4, ['num_experts_per_tok', 'at most num_experts = 4', '5']),
    ('mixtral-window', {'num_experts': 3}, 4, ['num_experts', 'two names of one field']),
    ('mixtral-window', {'sliding_window': 0}, 4, ['sliding_window', '0']),
    ('mixtral-window', {'num_hidden_layers': 4}, 3, ['model.layers.3.', 'missing']),
    ('mixtral-window', {'num_hidden_layers': 2}, 0, []),
    ('mixtral-window', {'hidden_size': '32'}, 3, ['hidden_size', 'an integer']),
    ('mixtral-window', {'model_type': None}, 3, ['no model_type']),
    ('mixtral-window', {'model_type': 'deepseek_v32'}, 4, ['model_type', 'deepseek_v32', 'nearest', 'deepseek_v3']),
    ('mixtral-window', {'model_type': 'mixtrals'}, 4, ['nearest of them is mixtral']),
    ('olmoe-clip-bias', {'head_dim': 16}, 4, ['head_dim', 'hidden_size / num_attention_heads']),
    ('olmoe-clip-bias', {'sliding_window': 16}, 4, ['sliding_window']),
    ('qwen2-windows', {'use_sliding_window': False, 'layer_types': ['sliding_attention'] * 3}, 4, ['layer_types']),
    ('mellum-mixed', {'layer_types': ['full_attention', 'chunked_attention', 'full_attention']}, 4,
     ['layer_types', 'chunked_attention']),
    ('mellum-mixed', {'mlp_layer_types': ['dense', 'sparse']}, 4, ['mlp_layer_types', '3 words']),
    ('mellum-mixed', {'rope_scaling': {'type': 'yarn', 'factor': 4.0}}, 4, ['rope_scaling', 'mellum']),
    ('mellum-mixed', {'rope_scaling': {}, 'rope_theta': 5.0}, 0, []),
    ('gpt-oss-alpha-limit', {'swiglu_limit': -1}, 4, ['swiglu_limit', '> 0']),
    ('gpt-oss-alpha-limit', {'quantization_config': {'quant_method': 'bitsandbytes'}}, 4,
     ['quant_method', 'gpt_oss', 'mxfp4 or none', 'bitsandbytes']),
    ('qwen3-dense-yarn', {'quantization_config': {'quant_method': 'fp8', 'weight_block_size': [128, 128]}}, 0, []),
    ('qwen3-dense-yarn', {'quantization_config': {'quant_method': 'fp8', 'weight_block_size': [64, 64]}}, 4,
     ['weight_block_size', 'qwen3_moe', '[128,128]', '[64,64]']),
    ('qwen3-dense-yarn', {'quantization_config': {'quant_method': 'fp8', 'fmt': 'e5m2'}}, 4, ['fmt', 'e4m3', 'e5m2']),
    ('granitemoe-bias-tied', {'rope_scaling': {'rope_type': 'ntk'}}, 4,
     ['rope_scaling.rope_type', 'granitemoe', 'ntk']),
    ('dots1', {'n_shared_experts': None}, 3, ['n_shared_experts', 'missing']),
    ('dots1', {'n_group': 3}, 4, ['n_group', 'equal groups of num_experts = 8']),
    ('dots1', {'n_group': 8, 'topk_group': 4}, 4, ['n_group', 'of two or more']),
    ('dots1', {'n_group': 4, 'topk_group': 1}, 4, ['num_experts_per_tok', 'at most the 2 experts', '3']),
    ('dots1', {'n_group': 2, 'topk_group': 3}, 4, ['topk_group', '1 to 2', '3']),
    ('dots1', {'scoring_func': 'noaux_tc', 'quantization_config': None}, 0, []),
    ('dots1', {'layer_types': ['sliding_attention'] * 3}, 4, ['layer_types', 'sliding_window']),
    ('glm4-groups-bias', {'partial_rotary_factor': 0.5}, 0, []),  # rope_parameters has its own
    ('glm4-groups-bias', {'rope_parameters': {'rope_type': 'default', 'partial_rotary_factor': 0.2}}, 4,
     ['partial_rotary_factor', 'an even number', '0.2']),
    ('glm4-groups-bias', {'rope_parameters': {'rope_type': None, 'factor': 4.0}}, 4, ['rope_type', 'null']),
    ('gpt-oss-alpha-limit', {'sliding_window': NULL}, 4, ['layer_types', 'sliding_window']),
    # Either kind of layer may have angles that grow slower than the text.
    ('mellum-mixed', {'max_position_embeddings': 64, 'rope_parameters': {
        'full_attention': {'rope_type': 'default', 'rope_theta': 5e5},
        'sliding_attention': {'rope_type': 'dynamic', 'rope_theta': 1e4, 'factor': 4.0}}}, 0, ['at most 256']),
    ('mellum-mixed', {'sliding_window': NULL}, 4, ['layer_types', 'sliding_window']),
    ('phimoe-longrope-short', {'head_dim': 6, 'rope_parameters': {'rope_type': 'default', 'rope_theta': 1e4}}, 3,
     ['q_proj.weight', 'wrong shape', '[24, 32]']),
    ('ernie-bias', {'use_bias': False, 'head_dim': 11}, 4, ['head_dim', 'an even head width']),
    ('ernie-bias', {'moe_layer_interval': 0}, 4, ['moe_layer_interval', 'a value from 1']),
    ('phimoe-longrope-short', {'rope_parameters': {'rope_type': 'yarn', 'factor': 2.0}}, 4,
     ['rope_parameters.rope_type', 'default or longrope', 'yarn']),
    ('phimoe-longrope-short', {'router_jitter_noise': -0.5}, 4, ['router_jitter_noise', '>= 0']),
    ('phimoe-longrope-short', {'num_experts_per_tok': 4}, 0, []),  # SparseMixer takes two
    ('deepseek-v2', {'topk_method': 'noaux_tc'}, 4, ['topk_method', 'group_limited_greedy', 'noaux_tc']),
    ('deepseek-v2', {'num_key_value_heads': 2}, 4, ['num_key_value_heads', 'num_attention_heads = 4']),
    ('deepseek-v2', {'topk_group': None}, 3, ['topk_group', 'missing']),
    ('deepseek-v3', {'quantization_config': 'fp8'}, 4, ['quantization_config', 'an object', 'fp8']),
    ('deepseek-v3', {'quantization_config': {'quant_method': 'fp8', 'weight_block_size': [64, 64]}}, 4,
     ['weight_block_size', '128', '64']),
    ('deepseek-v2', {'quantization_config': {'quant_method': 'fp8', 'weight_block_size': [128, 128]}}, 4,
     ['quant_method', 'deepseek_v2', 'fp8']),
    ('deepseek-v3', {'kv_lora_rank': 16}, 3, ['kv_a_proj_with_mqa', 'wrong shape']),
    ('lfm2', {'layer_types': None}, 3, ['layer_types', 'missing']),
    ('lfm2', {'layer_types': ['conv', 'linear_attention', 'conv']}, 4, ['layer_types', 'linear_attention']),
    ('lfm2', {'tie_embedding': False}, 3, ['lm_head.weight', 'missing']),  # beats tie_word_embeddings
    ('qwen3-next-mixed', {'linear_num_value_heads': 6}, 4, ['linear_num_value_heads', 'a multiple of']),
    ('qwen3-5', {'model_type': 'qwen3_5_moe'}, 3, ['text_config', 'missing']),
]


def main():
    program, folders = sys.argv[1], {pathlib.Path(path).name: pathlib.Path(path) for path in sys.argv[2:]}
    failures = []
    with tempfile.TemporaryDirectory() as scratch:
        for number, (name, fields, code, words) in enumerate(CASES):
            to = pathlib.Path(scratch) / str(number)
            shutil.copytree(folders[name], to)
            config = {**json.loads((to / 'config.json').read_text()), **fields}
            config = {field: None if value is NULL else value for field, value in config.items()
                      if field not in fields or value is not None}
            (to / 'config.json').write_text(json.dumps(config))
            done = subprocess.run([program, 'info', to], capture_output=True, text=True)
            missing = [word for word in words if word not in (done.stderr if code else done.stdout)]
            lines = done.stderr.strip().count('\n') + 1 if done.stderr.strip() else 0
            if done.returncode != code or missing or (code and lines != 1):
                failures.append(f'{name} {fields}: code {done.returncode}, expected {code}; not said: {missing}; '
                                f'found {done.stderr.strip()!r}')
    for failure in failures:
        print('FAILED', failure)
    print(f'{len(CASES)} configurations')
    return 1 if failures else 0


if __name__ == '__main__':
    sys.exit(main())
