"""The forward pass of a checkpoint with soft routing in numpy, float64, as SPEC §1.4, §1.5 and §3 say: one text,
every layer sees the whole context, κ of one slot per gate unit from logits or weights, or none."""
import numpy as np


def norm(x):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + np.finfo(np.float32).eps)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def laplace(u):
    return np.where(u < 0, .5 * np.exp(np.minimum(u, 0)), 1 - .5 * np.exp(-np.maximum(u, 0)))


def soft_weights(r, budget):
    """p [T,E] of logits over the temperature, by bisection."""
    low, high = r.min(1, keepdims=True) - 60, r.max(1, keepdims=True) + 60
    for _ in range(200):
        middle = (low + high) / 2
        right = laplace(r - middle).sum(1, keepdims=True) > budget
        low, high = np.where(right, middle, low), np.where(right, high, middle)
    return laplace(r - low)


def budgets(state, config):
    """k of the MoE layers, in turn."""
    share = np.exp(state['softmoe_eta'].astype(np.float64))
    share /= share.sum()
    return share * (config['lapsum_budget_total'] - len(share)) + 1


def running(p, budget, config):
    """Which experts run: [T,E]."""
    falling = -np.sort(-p, axis=1)
    expansion, experts = config.get('lapsum_expansion'), p.shape[1]
    cap = min(max(int(np.ceil(budget * expansion)), 1), experts) if expansion else experts
    least = falling[:, cap - 1:cap]
    scale = config.get('lapsum_threshold_scale')
    if scale is None:
        return (p > config['lapsum_threshold']) & ((p >= least) if expansion else True)
    low = least if expansion else 0
    return p >= np.minimum(np.maximum(scale * budget / experts, low), falling[:, :1])


class Model:
    def __init__(self, state, config):
        self.state = {name: value.astype(np.float64) for name, value in state.items()}
        self.config = config
        self.budgets = iter(())

    def layer(self, i, name):
        return self.state[f'transformer.h.{i}.{name}']

    def rotated(self, x):
        half = x.shape[-1] // 2
        angle = np.arange(len(x))[:, None] / 10000 ** (np.arange(half) / half)
        cos, sin = (as_bfloat16(f(angle.astype(np.float32)))[:, None] for f in (np.cos, np.sin))
        first, second = x[..., :half], x[..., half:]
        return norm(np.concatenate([first * cos + second * sin, second * cos - first * sin], -1))

    def attention(self, i, x, ids):
        heads, kv = self.config['n_head'], self.config['n_kv_head']
        q, k, v = (x @ self.layer(i, f'attn.{name}.weight').T for name in ('c_q', 'c_k', 'c_v'))
        q, k, v = q.reshape(len(x), heads, -1), k.reshape(len(x), kv, -1), v.reshape(len(x), kv, -1)
        table = self.state.get(f'value_embeds.{i}.weight')
        if table is not None:
            gate = 2 * sigmoid(x[:, :32] @ self.layer(i, 'attn.ve_gate.weight').T)
            v = v + gate[..., None] * table[ids].reshape(v.shape)
        q, k = self.rotated(q), self.rotated(k)
        k, v = (np.repeat(part, heads // kv, axis=1) for part in (k, v))
        scores = np.einsum('qhd,khd->hqk', q, k) / np.sqrt(q.shape[-1])
        scores = np.where(np.tri(len(x), dtype=bool), scores, -np.inf)
        p = np.exp(scores - scores.max(-1, keepdims=True))
        out = np.einsum('hqk,khd->qhd', p / p.sum(-1, keepdims=True), v)
        return out.reshape(len(x), -1) @ self.layer(i, 'attn.c_proj.weight').T

    def score(self, w_g, r, p):
        if self.config['kappa_input'] == 'router_probs':
            return 2 * p
        length = np.sqrt((w_g ** 2).sum(1) + 1e-4)
        return 6 * r / (np.sqrt(w_g.shape[1]) * length ** .5 * (length ** .5).mean())

    def experts(self, i, x):
        w_g, config = self.layer(i, 'mlp.router.w_g.weight'), self.config
        r, budget = x @ w_g.T, next(self.budgets)
        p = soft_weights(r / config['lapsum_temperature'], budget)
        runs = running(p, budget, config)
        score, output = self.score(w_g, r, p), np.zeros_like(x)
        for e in range(len(w_g)):
            gate, up, down = (self.layer(i, f'mlp.experts.{name}')[e] for name in ('gate_proj', 'c_fc', 'c_proj'))
            z, kappa = x @ gate, 1
            if config['use_kappa_swiglu']:
                alpha, b = (self.layer(i, f'mlp.experts.kappa_{name}')[e] for name in ('scale', 'bias'))
                kappa = config['moe_kappa_slope_max_scale'] ** np.tanh(alpha * score[:, e:e + 1] + b)
            output += np.where(runs, p, 0)[:, e:e + 1] * ((z * sigmoid(kappa * z) * (x @ up)) @ down)
        return output

    def dense(self, i, x):
        z, up = (x @ self.layer(i, f'mlp.{name}.weight').T for name in ('gate_proj', 'c_fc'))
        return (z * sigmoid(z) * up) @ self.layer(i, 'mlp.c_proj.weight').T

    def logits(self, ids):
        self.budgets = iter(budgets(self.state, self.config))
        x = start = norm(self.state['transformer.wte.weight'][ids])
        for i in range(self.config['n_layer']):
            x = self.state['resid_lambdas'][i] * x + self.state['x0_lambdas'][i] * start
            x = x + self.attention(i, norm(x), ids)
            x = x + (self.experts if i >= self.config['moe_start_layer'] else self.dense)(i, norm(x))
        found = norm(x) @ self.state['lm_head.weight'].T
        return 15 * np.tanh(found[:, :self.config['vocab_size']] / 15)


def as_bfloat16(values):
    """Rounded to nearest, ties to even, and widened again."""
    bits = values.astype(np.float32).view(np.uint32)
    return ((bits + 0x7fff + (bits >> 16 & 1)) & 0xffff0000).astype(np.uint32).view(np.float32)
