"""Compares the forward pass with the transformers package on small models of every family, made here with
the configuration fields that a folder may have: windows, biases, dense layers, RoPE kinds, ties, both
spellings of config.json, both forms of the experts on disk.

check_transformers.py BUILD_FOLDER [NAME...]        77 where transformers is not installed
check_transformers.py --write FOLDER NAME...        writes such models with their numbers, for check_golden.py

Logits, router logits, weights and the residual stream must lie within 1e-4 + 1e-4·|expected|; chosen experts
are equal but at near ties, after which the token is left out.
"""
import json, os, pathlib, shutil, subprocess, sys, tempfile
import numpy as np

try:
    import torch, transformers
except ImportError as reason:
    print(f'skipped: {reason}')
    sys.exit(77)

transformers.utils.logging.disable_progress_bar()
TOKENS = 70
SMALL = dict(vocab_size=96, hidden_size=32, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2,
             max_position_embeddings=256, initializer_range=0.15)
YARN = dict(rope_type='yarn', rope_theta=10000.0, factor=4.0, original_max_position_embeddings=32)
MELLUM_ROPE = dict(full_attention=dict(YARN, rope_theta=500000.0),
                   sliding_attention=dict(rope_type='default', rope_theta=10000.0))

MIXTRAL = dict(model_type='mixtral', intermediate_size=24, num_local_experts=4, num_experts_per_tok=2)
QWEN2 = dict(model_type='qwen2_moe', intermediate_size=40, moe_intermediate_size=24, num_experts=6,
             num_experts_per_tok=2, shared_expert_intermediate_size=20)
QWEN3 = dict(model_type='qwen3_moe', intermediate_size=40, moe_intermediate_size=24, num_experts=6,
             num_experts_per_tok=3, head_dim=12)
OLMOE = dict(model_type='olmoe', intermediate_size=24, num_experts=8, num_experts_per_tok=4)
GPT_OSS = dict(model_type='gpt_oss', intermediate_size=24, num_local_experts=4, num_experts_per_tok=2,
               head_dim=16, sliding_window=9)
MELLUM = dict(model_type='mellum', intermediate_size=40, moe_intermediate_size=24, num_experts=6,
              num_experts_per_tok=2, head_dim=16, sliding_window=11)
GRANITE = dict(model_type='granitemoe', intermediate_size=24, num_local_experts=5, num_experts_per_tok=3,
               embedding_multiplier=3.0, residual_multiplier=0.3, attention_multiplier=0.2, logits_scaling=1.7)
DOTS = dict(model_type='dots1', intermediate_size=40, moe_intermediate_size=24, n_routed_experts=8,
            num_experts_per_tok=3, n_shared_experts=2, first_k_dense_replace=1, head_dim=12, norm_topk_prob=True,
            routed_scaling_factor=2.5, sliding_window=None)
GLM = dict(model_type='glm4_moe', intermediate_size=40, moe_intermediate_size=24, n_routed_experts=8,
           num_experts_per_tok=3, head_dim=16)
ERNIE = dict(model_type='ernie4_5_moe', intermediate_size=40, moe_intermediate_size=20, moe_num_experts=8, moe_k=3)
FLEX = dict(model_type='flex_olmo', intermediate_size=24, num_experts=6, num_experts_per_tok=3, pad_token_id=0)
PHI = dict(model_type='phimoe', intermediate_size=24, num_local_experts=6, router_jitter_noise=0.15)
PHI_LONG = dict(rope_type='longrope', rope_theta=10000.0, short_factor=[1.0, 1.5, 2.0, 3.0],
                long_factor=[2.0, 4.0, 6.0, 8.0], short_mscale=1.1, long_mscale=1.3,
                original_max_position_embeddings=32)
LATENT = dict(num_key_value_heads=4, kv_lora_rank=14, q_lora_rank=18, qk_nope_head_dim=10, qk_rope_head_dim=6,
              v_head_dim=9, intermediate_size=40, moe_intermediate_size=20, n_routed_experts=8,
              num_experts_per_tok=3, first_k_dense_replace=1, n_shared_experts=1)
DEEPSEEK2 = dict(LATENT, model_type='deepseek_v2')
DEEPSEEK3 = dict(LATENT, model_type='deepseek_v3', n_group=4, topk_group=2)
LATENT_YARN = dict(YARN, factor=40.0, mscale=1.0, mscale_all_dim=0.7)
LFM = dict(model_type='lfm2_moe', intermediate_size=40, moe_intermediate_size=24, num_experts=6,
           num_experts_per_tok=3, num_dense_layers=1, layer_types=['conv', 'full_attention', 'conv'], pad_token_id=0)
DELTA = dict(num_hidden_layers=2, full_attention_interval=2, head_dim=16, moe_intermediate_size=24, num_experts=6, num_experts_per_tok=3,
             shared_expert_intermediate_size=20, linear_num_key_heads=2, linear_num_value_heads=4,
             linear_key_head_dim=24, linear_value_head_dim=12)
QWEN3_NEXT = dict(DELTA, model_type='qwen3_next', intermediate_size=40)
QWEN35 = dict(DELTA, model_type='qwen3_5_moe_text')
CASES = {
    'mixtral': MIXTRAL,
    'mixtral-window': dict(MIXTRAL, sliding_window=13, head_dim=16, rms_norm_eps=1e-3),
    'mixtral-linear-tied': dict(MIXTRAL, tie_word_embeddings=True,
                                rope_parameters=dict(rope_type='linear', rope_theta=5000.0, factor=3.0)),
    'mixtral-llama3': dict(MIXTRAL, rope_parameters=dict(
        rope_type='llama3', rope_theta=10000.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
        original_max_position_embeddings=64)),
    'mixtral-all-experts': dict(MIXTRAL, num_experts_per_tok=4, num_key_value_heads=4),
    'mixtral-dynamic': dict(MIXTRAL, max_position_embeddings=40, head_dim=8, rope_parameters=dict(
        rope_type='dynamic', rope_theta=10000.0, factor=4.0)),
    'qwen2': QWEN2,
    'qwen2-windows': dict(QWEN2, use_sliding_window=True, sliding_window=10, max_window_layers=2, qkv_bias=False,
                          norm_topk_prob=True),
    'qwen2-layer-types': dict(QWEN2, use_sliding_window=True, sliding_window=10,
                              layer_types=['full_attention', 'sliding_attention', 'full_attention']),
    'qwen2-dense': dict(QWEN2, decoder_sparse_step=2, mlp_only_layers=[]),
    'qwen3': QWEN3,
    'qwen3-windows-bias': dict(QWEN3, use_sliding_window=True, sliding_window=7, attention_bias=True,
                               norm_topk_prob=True, max_window_layers=1),
    'qwen3-dense-yarn': dict(QWEN3, mlp_only_layers=[1], rope_parameters=YARN, tie_word_embeddings=True),
    'qwen3-yarn-mscale': dict(QWEN3, rope_parameters=dict(YARN, mscale=1.3, mscale_all_dim=0.7, truncate=False,
                                                          beta_fast=20.0, beta_slow=2.0)),
    'qwen3-yarn-factor': dict(QWEN3, rope_parameters=dict(YARN, attention_factor=1.25)),
    'olmoe': OLMOE,
    'olmoe-clip-bias': dict(OLMOE, clip_qkv=0.6, attention_bias=True, norm_topk_prob=True),
    'gpt-oss': GPT_OSS,
    'gpt-oss-alpha-limit': dict(GPT_OSS, swiglu_alpha=1.2, swiglu_limit=0.9, attention_bias=False),
    'gpt-oss-layer-types': dict(GPT_OSS, layer_types=['full_attention', 'full_attention', 'sliding_attention'],
                                rope_parameters=dict(rope_type='default', rope_theta=10000.0), head_dim=8),
    'mellum': MELLUM,
    'mellum-mixed': dict(MELLUM, layer_types=['full_attention', 'sliding_attention', 'sliding_attention'],
                         mlp_layer_types=['sparse', 'dense', 'sparse'], norm_topk_prob=False, attention_bias=True,
                         rope_parameters=MELLUM_ROPE),
    'granitemoe': GRANITE,
    'granitemoe-bias-tied': dict(GRANITE, attention_bias=True, tie_word_embeddings=True),
    'granitemoeshared': dict(GRANITE, model_type='granitemoeshared', shared_intermediate_size=20),
    'mixtral-longrope': dict(MIXTRAL, head_dim=8, rope_parameters=dict(PHI_LONG, factor=4.0)),
    'mixtral-longrope-short': dict(MIXTRAL, head_dim=8, rope_parameters=dict(
        PHI_LONG, original_max_position_embeddings=128)),
    'dots1': DOTS,
    'dots1-windows-groups': dict(DOTS, sliding_window=9, max_window_layers=1, n_group=4, topk_group=2,
                                 attention_bias=True, norm_topk_prob=False),
    'glm4': GLM,
    'glm4-groups-bias': dict(GLM, attention_bias=True, use_qk_norm=True, routed_scaling_factor=1.7, n_group=2,
                             topk_group=1, n_shared_experts=2, rope_parameters=dict(
                                 YARN, partial_rotary_factor=0.25)),
    'ernie': ERNIE,
    'ernie-bias': dict(ERNIE, use_bias=True, moe_layer_interval=2, tie_word_embeddings=False, head_dim=10),
    'ernie-no-shared': dict(ERNIE, moe_num_shared_experts=0, moe_layer_start_index=0, moe_layer_end_index=1),
    'flex-olmo': FLEX,
    'flex-olmo-bias': dict(FLEX, attention_bias=True, norm_topk_prob=True),
    'phimoe': dict(PHI, attention_bias=True, lm_head_bias=True),
    'phimoe-longrope': dict(PHI, rope_parameters=PHI_LONG, sliding_window=20),
    'phimoe-longrope-short': dict(PHI, rope_parameters=dict(PHI_LONG, original_max_position_embeddings=128)),
    'deepseek-v2': dict(DEEPSEEK2, topk_method='group_limited_greedy', n_group=4, topk_group=2,
                        routed_scaling_factor=3.0),
    'deepseek-v2-lite': dict(DEEPSEEK2, q_lora_rank=None, n_shared_experts=2, rope_parameters=LATENT_YARN),
    'deepseek-v2-bias': dict(DEEPSEEK2, attention_bias=True, mlp_bias=True, tie_word_embeddings=True),
    'deepseek-v3': dict(DEEPSEEK3, rope_parameters=LATENT_YARN),
    'deepseek-v3-halves': dict(DEEPSEEK3, rope_interleave=False, n_group=1, topk_group=1, q_lora_rank=None,
                               attention_bias=True, norm_topk_prob=False),
    'lfm2': LFM,
    'lfm2-bias': dict(LFM, conv_bias=True, use_expert_bias=False, conv_L_cache=4, norm_topk_prob=False,
                      routed_scaling_factor=1.5, tie_word_embeddings=False),
    'qwen3-next': QWEN3_NEXT,
    'qwen3-next-mixed': dict(QWEN3_NEXT, num_hidden_layers=3, attention_bias=True, norm_topk_prob=False,
                             mlp_only_layers=[1], linear_num_key_heads=4, tie_word_embeddings=True,
                             rope_parameters=dict(YARN, partial_rotary_factor=0.5)),
    'qwen3-5': QWEN35,
    'qwen3-5-mixed': dict(QWEN35, num_hidden_layers=4, layer_types=['full_attention', 'linear_attention', 'linear_attention',
                                               'full_attention'], attention_bias=True, linear_conv_kernel_dim=3),
    'granitemoeshared-none': dict(GRANITE, model_type='granitemoeshared', shared_intermediate_size=0),
}


def make_model(case, folder):
    fields = {**SMALL, **case}
    config = transformers.AutoConfig.for_model(fields.pop('model_type'), **fields)
    torch.manual_seed(sum(map(ord, folder.name)))
    model = transformers.AutoModelForCausalLM.from_config(config, attn_implementation='eager').eval().float()
    with torch.no_grad():  # norms, biases and sinks are constants otherwise
        for name, parameter in model.named_parameters():
            if parameter.dim() == 1 or 'bias' in name:
                parameter.add_(0.2 * torch.randn_like(parameter))
        for name, buffer in model.named_buffers():
            if 'bias' in name:
                buffer.add_(0.1 * torch.randn_like(buffer))
    model.save_pretrained(folder)
    return model


def old_spelling(folder, to):
    """The same folder as a hub repository of before spells it."""
    shutil.copytree(folder, to)
    config = json.loads((to / 'config.json').read_text())
    rope = config.pop('rope_parameters', None) or {}
    if 'full_attention' in rope:
        config['rope_parameters'] = rope
    elif rope:
        for field in ('rope_theta', 'partial_rotary_factor'):
            if field in rope:
                config[field] = rope.pop(field)
        kind = rope.pop('rope_type')
        silent = kind == 'default' and config['model_type'] != 'gpt_oss'  # there silence means yarn
        config['rope_scaling'] = None if silent else {'type': kind, **rope}
    if 'dtype' in config:
        config['torch_dtype'] = config.pop('dtype')
    if config['model_type'] in ('qwen3_moe', 'mellum', 'qwen2_moe', 'olmoe') and 'num_local_experts' in config:
        config['num_experts'] = config.pop('num_local_experts')
    (to / 'config.json').write_text(json.dumps(config))


def best_first(router, logits, weights, index):
    """The slots of a router that leaves them in any order, by what it chose them by."""
    if type(router).__name__.endswith('TopkRouter'):
        bias = getattr(router, 'e_score_correction_bias', None)
        chosen = (logits if bias is None else logits.sigmoid() + bias).gather(1, index)
        order = chosen.argsort(dim=1, descending=True, stable=True)
        weights, index = weights.gather(1, order), index.gather(1, order)
    return logits, weights, index


def expected_of(model, ids):
    found, handles = {}, []
    layers = model.model.layers
    for index, layer in enumerate(layers):
        for module in layer.modules():
            if type(module).__name__.lower().endswith('topkrouter'):
                handles.append(module.register_forward_hook(
                    lambda router, _, out, index=index: found.__setitem__(index, best_first(router, *out))))
        handles.append(layer.register_forward_hook(
            lambda _, __, out, index=index: found.__setitem__(('hidden', index), out)))
    with torch.no_grad():
        logits = model(torch.tensor([ids])).logits[0]
    for handle in handles:
        handle.remove()
    result = {'logits': logits.numpy()}
    for key, value in found.items():
        if isinstance(key, tuple):
            result[f'layer{key[1]}.hidden'] = (value[0] if isinstance(value, tuple) else value).reshape(len(ids), -1).numpy()
        else:
            scores, weights, index = value
            result[f'layer{key}.router_logits'] = scores.numpy()
            result[f'layer{key}.expert_weight'] = weights.numpy()
            result[f'layer{key}.expert_index'] = index.numpy()
    return result


def write_golden(folder, names):
    """Small folders for check_golden.py, weights in bfloat16 and the numbers of the widened ones."""
    ids = np.random.default_rng(7).integers(0, SMALL['vocab_size'], 40).tolist()
    for name in names:
        make_model(CASES[name], folder / name)
        model = transformers.AutoModelForCausalLM.from_pretrained(folder / name).bfloat16()
        model.save_pretrained(folder / name)
        model = transformers.AutoModelForCausalLM.from_pretrained(
            folder / name, dtype=torch.float32, attn_implementation='eager').eval()
        expected = expected_of(model, ids)
        logits = expected.pop('logits')
        nll = -torch.tensor(logits[:-1]).double().log_softmax(1)[range(len(ids) - 1), ids[1:]].numpy()
        (folder / name / 'golden').mkdir()
        np.savez_compressed(folder / name / 'golden' / 'ids.npz', token_ids=np.array(ids),
                            logits_every8=logits[:, ::8], nll=nll.astype(np.float32), **expected)


def run(programs, folder, ids, scratch, words):
    (scratch / 'out.npz').unlink(missing_ok=True)
    (scratch / 'ids.txt').write_text('\n'.join(map(str, ids)))
    subprocess.run([programs / 'kappascope_dump_forward', folder, scratch / 'ids.txt', scratch / 'out.npz', *words],
                   check=True)
    return dict(np.load(scratch / 'out.npz'))


def compare(name, ours, expected):
    rows, worst, failures = np.ones(TOKENS, bool), 0.0, []
    for key in sorted(key for key in expected if key.endswith('expert_index')):
        same_set = (np.sort(ours[key]) == np.sort(expected[key])).all(axis=1)
        margin = np.nan_to_num(ours[key.replace('expert_index', 'router_margin')], nan=1.0)
        if (~same_set & (margin > 1e-4)).any():
            failures.append(f'{name} {key}: other experts')
        rows &= (ours[key] == expected[key]).all(axis=1)
    if rows.mean() < 0.9:
        failures.append(f'{name}: {int((~rows).sum())} tokens chose otherwise')
    for key, values in expected.items():
        if key.endswith('expert_index'):
            continue
        if key not in ours:
            failures.append(f'{name} {key}: not there')
            continue
        excess = (np.abs(ours[key] - values) / (1e-4 + 1e-4 * np.abs(values)))[rows]
        worst = max(worst, float(np.nan_to_num(excess, nan=np.inf).max()))
        if not excess.max() <= 1:
            failures.append(f'{name} {key}: {excess.max():.3g} of the tolerance')
    return worst, failures


def main():
    if sys.argv[1] == '--write':
        return write_golden(pathlib.Path(sys.argv[2]), sys.argv[3:])
    programs, chosen = pathlib.Path(sys.argv[1]), sys.argv[2:]
    failures = []
    ids = np.random.default_rng(7).integers(0, SMALL['vocab_size'], TOKENS).tolist()
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        for name, case in CASES.items():
            if chosen and name not in chosen:
                continue
            model = make_model(case, scratch / name)
            expected = expected_of(model, ids)
            old_spelling(scratch / name, scratch / f'{name}-old')
            outputs = {}
            for folder, words in ((name, []), (f'{name}-old', []), (name, ['--backend', 'plain'])):
                try:
                    ours = outputs[(folder, *words)] = run(programs, scratch / folder, ids, scratch, words)
                except subprocess.CalledProcessError:
                    failures.append(f'{folder}: did not run')
                    continue
                worst, found = compare(' '.join([folder, *words]), ours, expected)
                failures += found
                print(f'{" ".join([folder, *words]):>40}: worst difference {worst:6.4f} of the tolerance', flush=True)
            if (name,) in outputs and (f'{name}-old',) in outputs:
                for key, values in outputs[(name,)].items():
                    if not np.array_equal(values, outputs[(f'{name}-old',)][key], equal_nan=True):
                        failures.append(f'{name} {key}: differs between the spellings')
            shutil.rmtree(scratch / name)
            shutil.rmtree(scratch / f'{name}-old')
    for failure in failures:
        print('FAILED', failure)
    return 1 if failures else 0


if __name__ == '__main__':
    sys.exit(main())
