"""Writes the golden numbers of `kappascope selftest`: what the reference implementation makes of a text with a
shipped checkpoint.

make_selftest_golden.py REFERENCE MODEL_FOLDER STEP TOKENIZER TEXT OUT.npz

Needs Torch, tiktoken and what the reference imports. Arrays get the names and shapes of a trace; κ and gate
statistics are computed here in float64 from what the reference computed. Same input, same bytes.
"""
import pathlib
import pickle
import sys

import numpy as np
import torch

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / 'cli'))
from reference_model import load

THRESHOLD, TOP = 0.1, 16  # gate_stats_threshold, gate_stats_topk of the shipped checkpoint


def gate_statistics(kappa, z, a):
    """[T,K,I] each, NaN where dropped → name → [T,K]."""
    size, sharp = np.abs(a), np.abs(kappa * z)
    total = np.maximum(size.sum(-1), 1e-8)
    logs = np.where(size > 0, size * np.log(np.where(size > 0, size, 1)), 0)
    dropped = np.isnan(size).any(-1)
    result = {
        'kappa_mean': kappa.mean(-1), 'kappa_min': kappa.min(-1), 'kappa_max': kappa.max(-1),
        'kappa_p05': np.quantile(kappa, 0.05, axis=-1), 'kappa_p95': np.quantile(kappa, 0.95, axis=-1),
        'gate_mean_abs': size.mean(-1),
        'gate_active_fraction': (size > THRESHOLD).mean(-1),
        'gate_top16_share': np.sort(size, axis=-1)[..., -TOP:].sum(-1) / size.sum(-1),
        'gate_entropy': np.log(total) - logs.sum(-1) / total,
        'gate_kz_rms': np.sqrt((sharp ** 2).mean(-1)),
        'gate_linear_fraction': (sharp < 1).mean(-1),
        'gate_saturated_fraction': (sharp > 4).mean(-1),
    }
    return {name: np.where(dropped, np.nan, values) for name, values in result.items()}


def tokens_of(tokenizer, text):
    encoding = pickle.loads(pathlib.Path(tokenizer).read_bytes())
    return [encoding.encode_single_token('<|bos|>'), *encoding.encode_ordinary(text)]


class Layer:
    """What a MoE layer computed for one text, [T,K] and [T,K,I]; NaN where dropped."""

    def __init__(self, moe):
        self.moe, self.router, self.experts = moe, moe.router, moe.experts
        self.router.register_forward_hook(self.routed)
        self.activate = self.experts._apply_kappa_slope_scaled_activation
        self.experts._apply_kappa_slope_scaled_activation = self.activated

    def routed(self, router, inputs, outputs):
        mask, self.weight, _, self.index, self.rank = outputs
        self.logits = torch.nn.functional.linear(inputs[0].flatten(0, 1), router.w_g.weight)
        self.kept = mask.sum(-1) > 0

    def activated(self, z, bias, scores, **options):
        act = self.activate(z, bias, scores, **options)
        place = self.index, self.rank.clamp(max=z.shape[1] - 1)
        score = scores[place].double()
        bias, scale = (values.double()[self.index] for values in
                       (self.experts._materialize_kappa_bias(), self.experts._materialize_kappa_scale()))
        bound = float(self.experts.kappa_slope_max_scale)
        kappa = bound ** torch.tanh(scale * score[..., None] + bias)
        self.kappa_input = torch.where(self.kept, scores[place], torch.nan)
        dropped = ~self.kept[..., None]
        self.gates = [values.double().masked_fill(dropped, torch.nan).numpy() for values in (kappa, z[place], act[place])]
        return act


def main():
    reference, folder, step, tokenizer, text_file, out = sys.argv[1:]
    text = pathlib.Path(text_file).read_text(encoding='utf-8')
    model = load(reference, pathlib.Path(folder), int(step)).eval()
    ids = torch.tensor([tokens_of(tokenizer, text)])
    layers = [Layer(block.mlp) for block in model.transformer.h if hasattr(block.mlp, 'experts')]
    with torch.no_grad():
        logits = model(ids)[0].float()
    nll = -torch.log_softmax(logits[:-1].double(), -1).gather(1, ids[0, 1:, None])[:, 0]
    arrays = {
        'text': np.array([text]),
        'token_id': ids[0].numpy().astype('<i4'),
        'nll': np.concatenate([[np.nan], nll.numpy()]).astype('<f4'),
        'logits_every8': logits[:, ::8].numpy().astype('<f4'),
    }
    for name, attribute, kind in (('router_logits', 'logits', '<f4'), ('expert_index', 'index', '<i2'),
                                  ('expert_weight', 'weight', '<f4'), ('kappa_input', 'kappa_input', '<f4')):
        arrays[name] = np.stack([getattr(layer, attribute).numpy() for layer in layers]).astype(kind)
    rows = [gate_statistics(*layer.gates) for layer in layers]
    arrays |= {name: np.stack([row[name] for row in rows]).astype('<f4') for name in rows[0]}
    np.savez(out, **arrays)


if __name__ == '__main__':
    main()
