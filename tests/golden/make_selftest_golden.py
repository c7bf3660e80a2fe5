"""Writes the golden numbers of `kappascope selftest` from the reference implementation's.

make_selftest_golden.py GOLDEN.npz TEXT OUT.npz

GOLDEN.npz and TEXT are the numbers and the text of one run of the reference on the shipped checkpoint.
Arrays get the names and shapes of a trace; κ and gate statistics are computed here in float64, where
the file holds κ and the gates. Same input, same bytes.
"""
import sys
import numpy as np

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


def main():
    golden, text = np.load(sys.argv[1]), open(sys.argv[2], encoding='utf-8').read()
    layers = sorted(int(name[5:].split('.')[0]) for name in golden.files if name.endswith('.router_logits'))
    stack = lambda tail, kind: np.stack([golden[f'layer{layer}.{tail}'] for layer in layers]).astype(kind)
    kept = stack('kept', bool)
    arrays = {
        'text': np.array([text]),
        'token_id': golden['token_ids'].ravel().astype('<i4'),
        'nll': np.concatenate([[np.nan], golden['nll'].ravel()]).astype('<f4'),
        'logits_every8': golden['logits_every8'].reshape(kept.shape[1], -1).astype('<f4'),
        'router_logits': stack('router_logits', '<f4'),
        'expert_index': stack('expert_index', '<i2'),
        'expert_weight': stack('expert_weight', '<f4'),
        'kappa_input': np.where(kept, stack('kappa_input', '<f4'), np.float32(np.nan)),
    }
    if f'layer{layers[0]}.kappa' in golden.files:
        rows = [gate_statistics(*(golden[f'layer{layer}.{name}'].astype(np.float64)
                                  for name in ('kappa', 'gate_pre', 'gate_act'))) for layer in layers]
        arrays |= {name: np.stack([row[name] for row in rows]).astype('<f4') for name in rows[0]}
    np.savez(sys.argv[3], **arrays)


if __name__ == '__main__':
    main()
