"""The peers that the benchmark is measured against: libraries as they come from PyPI, and the
reference implementation, run in place from the folder KAPPASCOPE_REFERENCE."""

import io
import json
import os
import pathlib
import sys
import time
import types

import numpy as np
import torch

REFERENCE = os.environ.get("KAPPASCOPE_REFERENCE")


def timed(function, *arguments):
    begin = time.perf_counter()
    result = function(*arguments)
    return time.perf_counter() - begin, result


def add_reference():
    """Its package can be imported then."""
    if REFERENCE not in sys.path:
        sys.path.insert(0, REFERENCE)
        sys.modules.setdefault("rustbpe", types.ModuleType("rustbpe"))  # only trains tokenizers


def load_reference(folder, step=100):
    """The reference's own loader (build_model); the tokenizer it would look for is not needed."""
    add_reference()
    import logging
    logging.disable(logging.INFO)
    from nanochat import checkpoint_manager
    meta = json.loads((pathlib.Path(folder) / f"meta_{step:06}.json").read_text(encoding="utf-8"))
    vocab = meta["model_config"]["vocab_size"]
    checkpoint_manager.get_tokenizer = lambda: types.SimpleNamespace(get_vocab_size=lambda: vocab)
    with torch.no_grad():
        model, _, _ = checkpoint_manager.build_model(str(folder), step, torch.device("cpu"), "eval")
    return model


class ReferenceLayer:
    """The first layer's MoE module of the reference: [tokens,H] → [tokens,H]."""
    name = "the reference implementation"

    def __init__(self, folder):
        self.layer = load_reference(folder).transformer.h[0].mlp

    def __call__(self, x):
        with torch.no_grad():
            y = self.layer(x[None])
        return (y[0] if isinstance(y, tuple) else y)[0]


class PaddedLayer:
    """A stand-in when the reference is absent: the same layer in Torch, every expert padded to
    capacity factor 3, as the reference pads."""
    name = "a padded Torch layer of our own (peer absent)"

    def __init__(self, folder):
        folder = pathlib.Path(folder)
        meta = json.loads((folder / "meta_000100.json").read_text(encoding="utf-8"))
        self.bound = meta["model_config"]["moe_kappa_slope_max_scale"]
        state = torch.load(folder / "model_000100.pt", mmap=True, weights_only=True)
        get = lambda name: state[f"transformer.h.0.mlp.{name}"].float()
        self.w_g, self.bias, self.scale = (get(n) for n in (
            "router.w_g.weight", "experts.kappa_bias", "experts.kappa_scale"))
        self.gate, self.up, self.down = (get(f"experts.{n}")
                                         for n in ("gate_proj", "c_fc", "c_proj"))

    def __call__(self, x, slots=2):
        tokens, experts = len(x), len(self.w_g)
        logits = x @ self.w_g.T
        top, index = logits.topk(slots, dim=1)
        weight = top.softmax(1)
        norm = (self.w_g.square().sum(1) + 1e-4).sqrt()
        norm = x.shape[1] ** 0.5 * norm.sqrt() * norm.sqrt().mean()
        capacity = int(slots * 3.0 * tokens / experts)
        capacity = max(capacity + capacity % 2, 4)
        one_hot = torch.nn.functional.one_hot(index.T.reshape(-1), experts)
        rank = (one_hot.cumsum(0) - 1).gather(1, index.T.reshape(-1, 1))[:, 0]
        expert, kept = index.T.reshape(-1), rank < capacity
        token = torch.arange(tokens).repeat(slots)
        place = (expert * capacity + rank)[kept]
        score = (6 * top.T.reshape(-1) / norm[expert])[kept]
        inputs = x.new_zeros(experts * capacity, x.shape[1]).index_copy_(0, place, x[token[kept]])
        scores = x.new_zeros(experts * capacity, 1).index_copy_(0, place, score[:, None])
        inputs, scores = (t.view(experts, capacity, -1) for t in (inputs, scores))
        kappa = torch.exp(np.log(self.bound) * torch.tanh(self.scale[:, None] * scores
                                                      + self.bias[:, None]))
        z = inputs @ self.gate
        y = ((z * torch.sigmoid(kappa * z)) * (inputs @ self.up)) @ self.down
        outputs = y.view(experts * capacity, -1)[place] * weight.T.reshape(-1)[kept][:, None]
        return torch.zeros_like(x).index_add_(0, token[kept], outputs)


def layer_peer(folder):
    return ReferenceLayer(folder) if REFERENCE else PaddedLayer(folder)


class Hooks:
    """Keeps of every MoE layer of the reference what a trace of ours holds (SPEC §5), by forward
    hooks: of the router and of the gate activation, for a hook of a whole expert module would have
    to compute the gate product again. Only rows of kept assignments are looked at."""

    def __init__(self, model, gates):
        self.gates, self.kept, self.undo = gates, {}, []
        for i, block in enumerate(model.transformer.h):
            if hasattr(block.mlp, "experts"):
                self.watch(i, block.mlp.router, block.mlp.experts)

    def watch(self, layer, router, experts):
        names = {}

        def keep(**arrays):
            self.kept.update({f"{name}_{layer}": t.numpy() for name, t in arrays.items()})

        def after_router(module, inputs, output):
            _, weights, scores, chosen, rank = output
            logits = inputs[0].flatten(0, 1) @ module.w_g.weight.T
            logs = torch.log_softmax(logits, 1)
            top = logits.topk(chosen.shape[-1] + 1, dim=1).values
            keep(router_logits=logits, expert_weight=weights, expert_index=chosen,
                 router_top1_prob=logs.max(1).values.exp(), router_top_gap=top[:, 0] - top[:, 1],
                 router_selected_mass=logs.exp().gather(1, chosen.view(len(logits), -1)).sum(1),
                 router_margin=top[:, -2] - top[:, -1],
                 router_entropy=-(logs.exp() * logs).sum(1) / np.log(logits.shape[1]))
            names["expert"], names["rank"] = chosen.flatten(), rank.flatten()

        activation = experts._apply_kappa_slope_scaled_activation

        def activate(z, bias, score, kappa_scale=None):
            a = activation(z, bias, score, kappa_scale=kappa_scale)
            whole = names["rank"] < z.shape[1]
            e, r = names["expert"][whole], names["rank"][whole]
            s = score[e, r]
            u = torch.addcmul(experts._get_kappa_bias_unsqueezed_for_eval(z.dtype, z.device)[e, 0],
                              s[:, None],
                              experts._get_kappa_scale_unsqueezed_for_eval(z.dtype, z.device)[e, 0])
            self.keep_gates(keep, e, s, u.tanh_(), z[e, r], a[e, r], z.shape[0],
                            float(experts.kappa_slope_max_scale))
            return a
        experts._apply_kappa_slope_scaled_activation = activate
        handle = router.register_forward_hook(after_router)
        self.undo += [handle.remove, lambda: delattr(
            experts, "_apply_kappa_slope_scaled_activation")]

    def keep_gates(self, keep, e, s, tanh, z, a, experts, bound):
        kappa = torch.exp(np.log(bound) * tanh)
        if self.gates:
            keep(kappa=kappa, gate_pre=z, gate_act=a)
        size, kz = a.abs(), (kappa * z).abs()
        total = size.sum(1).clamp_min(1e-8)
        low, high = torch.quantile(kappa, torch.tensor([0.05, 0.95]), dim=1)
        keep(kappa_input=s, gate_mean_abs=size.mean(1), gate_entropy=total.log()
             - torch.special.xlogy(size, size).sum(1) / total,
             gate_active_fraction=(size > 0.1).float().mean(1),
             gate_top16_share=size.topk(16, dim=1).values.sum(1) / total,
             gate_kz_rms=kz.square().mean(1).sqrt(), gate_linear_fraction=(kz < 1).float().mean(1),
             gate_saturated_fraction=(kz > 4).float().mean(1), kappa_mean=kappa.mean(1),
             kappa_min=kappa.min(1).values, kappa_max=kappa.max(1).values, kappa_p05=low,
             kappa_p95=high)
        for name, value, bins in (("kappa_hist", (tanh + 1) * 32, 64),
                                  ("gate_pre_hist", (z + 8) * 4 + 1, 66)):
            bin = value.long().clamp_(0, bins - 1).add_(e[:, None] * bins)
            keep(**{name: torch.bincount(bin.flatten(), minlength=experts * bins)})
        silu = torch.nn.functional.silu(z)
        effect = a - silu
        relative = effect / torch.where(silu.abs() < 1e-6, torch.copysign(
            torch.tensor(1e-6), silu), silu)
        for name, d in (("effect", effect), ("effect_rel", relative)):
            d = d.double()
            sums = [(d, "mean"), (d.abs(), "abs"), (d.square(), "rms"), (d > 0, "positive")]
            for value, what in sums:
                by_expert = torch.zeros(experts, dtype=torch.float64)
                keep(**{f"{name}_{what}": by_expert.index_add_(0, e, value.double().sum(1))})

    def finish(self, path):
        """Writes what was kept, and takes the hooks out."""
        np.savez(path, **self.kept)
        for undo in self.undo:
            undo()


def prefill(model, tokens, hooks=None, trace=None):
    """Logits of made-up ids; with hooks ("standard" or "gates") what a trace holds, written to a
    file, too."""
    config = model.config
    ids = torch.tensor([[(t * 7919 + t // 3) % config.vocab_size for t in range(tokens)]])
    begin = time.perf_counter()
    watching = Hooks(model, hooks == "gates") if hooks else None
    with torch.no_grad():
        logits = model(ids)
    if watching:
        watching.finish(trace)
    seconds = time.perf_counter() - begin
    logits = logits[0] if logits.dim() == 3 else logits
    logs = torch.log_softmax(logits[:-1, :config.vocab_size].double(), 1)
    return seconds, float(-logs[range(tokens - 1), ids[0, 1:]].sum())


class ReferenceTraining:
    """Steps of the reference's model on the made-up ids of our work "train"."""

    def __init__(self, folder, step, batch, length):
        # Not by build_model: it makes the model without memory for its tensors, and those that no file
        # holds, buffers of κ among them, are then whatever that memory had.
        sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "cli"))
        add_reference()
        import reference_model
        self.model = reference_model.load(REFERENCE, pathlib.Path(folder), step)
        self.model.train()
        for value in self.model.parameters():
            value.requires_grad_(True)
        numbers = torch.arange(batch * length + 1)
        ids = (numbers * 7919 + numbers // 3) % self.model.config.vocab_size
        self.ids, self.targets = ids[:-1].view(batch, length), ids[1:].view(batch, length)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-5)

    def step(self):
        """The loss of the next token before the step."""
        self.optimizer.zero_grad()
        loss, losses = self.model(self.ids, self.targets)
        kappa = losses["kappa_bias_l2_loss"] + losses["kappa_scale_l2_loss"]
        (loss + 1e-3 * losses["aux_loss"] + 0.01 * kappa).backward()
        self.optimizer.step()
        return float(losses["ntp_loss"])


def torch_load_sum(folder, step=100):
    """torch.load with a memory map, every byte touched in the cheapest way Torch has: a sum."""
    def work():
        state = torch.load(pathlib.Path(folder) / f"model_{step:06}.pt", mmap=True,
                           weights_only=True)
        return [t.view(torch.int32).sum() for t in state.values()]
    return timed(work)


def tiktoken_encoder(path):
    import pickle
    encoding = pickle.loads(pathlib.Path(path).read_bytes())

    def encode(text):
        seconds, ids = timed(encoding.encode_ordinary, text)
        total = 0
        for i in ids:
            total = (total * 31 + i) % 1000000007
        return seconds, {"tokens": len(ids), "sum": total}
    return encode


def matplotlib_figure():
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot
    row, column = np.mgrid[0:1000, 0:1000]
    cells = (column * 0.001 + row % 7).astype(np.float32)

    def work():
        sizes = []
        for kind in ("svg", "pdf", "png"):
            figure, axes = pyplot.subplots(figsize=(178 / 25.4, 120 / 25.4))
            image = axes.imshow(cells, aspect="auto", interpolation="none")
            axes.set(xlabel="Token", ylabel="Layer", title="Cells")
            figure.colorbar(image, label="Entropy")
            buffer = io.BytesIO()
            figure.savefig(buffer, format=kind, dpi=300)
            pyplot.close(figure)
            sizes.append(buffer.tell())
        return sizes
    return lambda: timed(work)
