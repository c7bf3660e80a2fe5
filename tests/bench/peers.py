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


def load_reference(folder, step=100):
    """The reference's own loader (build_model); the tokenizer it would look for is not needed."""
    if REFERENCE not in sys.path:
        sys.path.insert(0, REFERENCE)
        sys.modules.setdefault("rustbpe", types.ModuleType("rustbpe"))  # only trains tokenizers
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


def prefill(model, tokens, hooks=False):
    """Logits of made-up ids; with hooks, forward hooks keep what a standard recording tells of:
    router outputs and, of every expert layer, inputs and outputs."""
    config = model.config
    ids = torch.tensor([[(t * 7919 + t // 3) % config.vocab_size for t in range(tokens)]])
    kept, handles = [], []
    if hooks:
        def keep(_module, inputs, output):
            kept.append([t.clone() for t in (*inputs, output) if isinstance(t, torch.Tensor)])
            if isinstance(output, tuple):
                kept.append([t.clone() for t in output if isinstance(t, torch.Tensor)])
        for block in model.transformer.h:
            for name in ("router", "experts"):
                if hasattr(block.mlp, name):
                    handles.append(getattr(block.mlp, name).register_forward_hook(keep))
    with torch.no_grad():
        seconds, logits = timed(model, ids)
    for handle in handles:
        handle.remove()
    logits = logits[0] if logits.dim() == 3 else logits
    logs = torch.log_softmax(logits[:-1, :config.vocab_size].double(), 1)
    return seconds, float(-logs[range(tokens - 1), ids[0, 1:]].sum())


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
