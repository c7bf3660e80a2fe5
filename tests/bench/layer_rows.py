"""Rows of the forward pass: one layer, a prefill, what a record adds, growth with the input."""

import math
import sys

from rounds import ROOT, quartiles


def layer_against_reference(bench, tokens, calls, must):
    """P1: one MoE layer, one thread, other experts each round."""
    import numpy as np
    import torch
    import peers
    torch.set_num_threads(1)
    row = f"P1_{tokens}"
    random = np.random.default_rng(tokens)
    x = random.standard_normal((bench.rounds + 1, calls, tokens, 512), dtype=np.float32)
    path = bench.folder / "input.f32"
    x.tofile(path)
    peer = peers.layer_peer(bench.layer_model())
    ours = bench.program().make("layer", model=bench.layer_model(), tokens=tokens, calls=calls,
                                input=path, threads=1)
    output = bench.folder / "output.f32"
    ours.run(round=0, output=output)
    theirs = peer(torch.from_numpy(x[0, 0])).numpy()
    if bench.agree(row, np.fromfile(output, dtype=np.float32).reshape(theirs.shape), theirs):
        def peer_round(number):
            return peers.timed(lambda: [peer(torch.from_numpy(x[number, i]))
                                        for i in range(calls)])[0] / calls
        mine, other = bench.interleave(lambda number: ours.seconds(round=number), peer_round)
        bench.add(row, [b / a for a, b in zip(mine, other)], must, peer.name)
    ours.close()


def p1(bench):
    for tokens, calls, must in ((2048, 1, 3.2), (256, 2, 2.0), (1, 16, 50)):
        layer_against_reference(bench, tokens, calls, must)


def p2(bench):
    """Whole prefill; the bound is what the FFN's share of the peer's time allows."""
    import torch
    import peers
    torch.set_num_threads(bench.threads)
    if not peers.REFERENCE:
        return bench.absent("P2", 2.5)
    model = peers.load_reference(bench.deep_model())
    ours = bench.program().make("prefill", model=bench.deep_model(), threads=bench.threads)
    spent = [0.0]
    for block in model.transformer.h:
        def whole(*arguments, call=block.mlp.forward, **words):
            seconds, result = peers.timed(lambda: call(*arguments, **words))
            spent[0] += seconds
            return result
        block.mlp.forward = whole
    nll = ours.run(tokens=1024)["nll"]
    theirs = peers.prefill(model, 1024)[1]
    if abs(nll - theirs) > 1e-4 * abs(theirs):
        return bench.differ("P2", f"summed loss {nll}, the reference {theirs}")
    shares = []

    def peer_round(_):
        spent[0] = 0.0
        seconds = peers.prefill(model, 1024)[0]
        shares.append(spent[0] / seconds)
        return seconds
    mine, other = bench.interleave(lambda _: ours.seconds(tokens=1024), peer_round)
    bench.add("P2", [b / a for a, b in zip(mine, other)], 2.5, "the reference implementation",
              ffn_share_of_peer=quartiles(shares)[1])
    # With the layers' gain of P1 at 1024 tokens and the rest as fast as the peer's.
    gain = bench.rows.get("P1_2048", {}).get("ratio") or 3.9
    share = quartiles(shares)[1]
    bound = 1 / (1 - share + share / gain)
    bench.add("P2_of_bound", [b / a / bound for a, b in zip(mine, other)], 0.9,
              f"the bound {bound:.3g} of FFN share {share:.2f}, gain {gain:.3g}")
    ours.close()


def p4(bench):
    """The experts whole against a bare loop of library products; one thread."""
    for rows, goal in ((64, 1.08), (128, 1.08), (16, 1 / 1.3), (8, 1 / 1.3)):
        arguments = {"model": bench.layer_model(), "rows": rows, "threads": 1}
        sides = [bench.program().make(kind, **arguments) for kind in ("experts", "loop", "dense")]
        mine, loop, dense = bench.interleave(*[lambda _, s=s: s.seconds() for s in sides])
        bench.add(f"P4_{rows}", [a / b for a, b in zip(mine, loop)], goal,
                  "a bare loop of library products", above=False,
                  over_dense=quartiles([a / b for a, b in zip(mine, dense)])[1])
        for side in sides:
            side.close()


def p5(bench):
    """Weights read per second by a one-token layer over a plain read by two threads."""
    import numpy as np
    calls = 32
    x = np.random.default_rng(5).standard_normal((bench.rounds + 1, calls, 1, 512),
                                                 dtype=np.float32)
    path = bench.folder / "input.f32"
    x.tofile(path)
    layer = bench.program().make("layer", model=bench.layer_model(), tokens=1, calls=calls,
                                 input=path, threads=2)
    read = bench.program().make("read", model=bench.layer_model(), threads=2)

    def rate(program, **arguments):
        answer = program.run(**arguments)
        return answer["seconds"] / answer.get("weight_bytes", answer.get("bytes"))
    mine, limit = bench.interleave(lambda number: rate(layer, round=number), lambda _: rate(read))
    bench.add("P5", [b / a for a, b in zip(mine, limit)], 0.8, "two threads that only read")
    layer.close()
    read.close()


def same_record(bench, row, trace, hooks):
    """True when hooks kept the numbers of the trace: those of tokens, of kept slots, of experts."""
    import numpy as np
    ours, theirs = np.load(trace), np.load(hooks)
    kept = ours["expert_kept"].astype(bool)
    for name in ours.files:
        for m in range(len(kept)):
            if f"{name}_{m}" not in theirs or name.startswith("effect"):
                continue  # effects are means in the trace, sums with the hooks
            value, other = ours[name][m], theirs[f"{name}_{m}"]
            if value.shape[:2] == kept.shape[1:] and len(other) == kept[m].sum():
                value = value[kept[m]]
            if name.endswith("hist"):
                value, other = value.sum(0) / value.sum(), other.reshape(value.shape).sum(0)
                other = other / other.sum()
            # A value at the border may fall to either side of it.
            tolerance = 2 / 2048 if name.endswith(("fraction", "hist")) else 1e-4
            if not bench.agree(row, value.reshape(-1), other.reshape(-1), tolerance):
                print(f"{name} of layer {m}", file=sys.stderr)
                return False
    return True


def p6(bench):
    """Prefill with a record over prefill without one, trace written and all."""
    import torch
    import peers
    trace = bench.folder / "trace.npz"
    ours = bench.program().make("prefill", model=bench.deep_model(), threads=bench.threads)
    ours.run(tokens=1024, mode="gates", trace=trace)
    size = trace.stat().st_size
    # New pages of the system's file cache can cost more than all else (docs/performance.md): other
    # work stands between the two that want many, so that they find the same.
    modes = ("none", "write", "routing", "gates", "standard")
    times = dict(zip(modes, bench.interleave(*[
        lambda _, mode=mode: ours.seconds(tokens=1024, mode=mode, trace=trace, bytes=size)
        for mode in modes])))
    for mode, goal in (("routing", 1.02), ("standard", 1.12), ("gates", 1.15)):
        bench.add(f"P6_{mode}", [a / b for a, b in zip(times[mode], times["none"])], goal,
                  "the same prefill, nothing recorded", above=False)
    bench.add("P6_gates_less_write",
              [(g - w) / n for n, g, w in zip(times["none"], times["gates"], times["write"])], None,
              f"the same, less a plain write of {size / 1e6:.0f} MB to a new file, "
              f"{quartiles([w / n for n, w in zip(times['none'], times['write'])])[1]:.2f} of the prefill")
    if peers.REFERENCE:
        torch.set_num_threads(bench.threads)
        model = peers.load_reference(bench.deep_model())
        kept = bench.folder / "hooks.npz"
        for mode in ("standard", "gates"):
            peers.prefill(model, 1024, mode, kept)
            ours.run(tokens=1024, mode=mode, trace=trace)
            if not same_record(bench, f"P6_{mode}_hooks", trace, kept):
                continue
            bare, hooked, none, recorded = bench.interleave(
                lambda _: peers.prefill(model, 1024)[0],
                lambda _: peers.prefill(model, 1024, mode, kept)[0],
                lambda _: ours.seconds(tokens=1024),
                lambda _: ours.seconds(tokens=1024, mode=mode, trace=trace))
            bench.add(f"P6_{mode}_hooks", [(d - c) / (b - a) for a, b, c, d
                                           in zip(bare, hooked, none, recorded)], 1 / 3,
                      "seconds that hooks for the same numbers add to the reference", above=False)
    else:
        for mode in ("standard", "gates"):
            bench.absent(f"P6_{mode}_hooks", 1 / 3, above=False)
    ours.close()


def slope(sizes, seconds):
    x, y = [math.log(s) for s in sizes], [math.log(s) for s in seconds]
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    return (sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y))
            / sum((a - mean_x) ** 2 for a in x))


def growth(bench):
    """Slope of log time over log size: tokens through one MoE layer, layers through a prefill."""
    import numpy as np

    def put(row, sizes, times, low, high):
        value = slope(sizes, [quartiles(t)[1] for t in times])
        bench.put(row, {"ratio": value, "goal": high, "at_least": False, "low": low,
                        "holds": low <= value <= high, "peer": f"slope over {sizes}, at least {low}"})

    sizes = [1024, 2048, 4096, 8192, 16384]
    path = bench.folder / "input.f32"
    x = np.random.default_rng(6).standard_normal((1, 1, sizes[-1], 512), dtype=np.float32)
    x.tofile(path)
    sides = [bench.program().make("layer", model=bench.layer_model(), tokens=size, input=path,
                                  threads=bench.threads) for size in sizes]
    times = bench.interleave(*[lambda _, s=s: s.seconds(round=0) for s in sides])
    put("growth_tokens", sizes, times, 0.95, 1.08)
    for side in sides:
        side.close()
    sizes = [4, 6, 8, 12, 16]  # where embedding and logits, of which there is one, hardly count
    sides = [bench.program().make("prefill", model=bench.deep_model(size, experts=16),
                                  threads=bench.threads) for size in sizes]
    times = bench.interleave(*[lambda _, s=s: s.seconds(tokens=256) for s in sides])
    put("growth_layers", sizes, times, 0.97, 1.05)
    for side in sides:
        side.close()


def p10(bench):
    """Calls of a corpus added up over the same calls alone, and the last of many over the first."""
    for row, model, tokens in (("P10", bench.deep_model(), 1024), ("P10_small", ROOT / "assets/d8-kappa", 512)):
        ours = bench.program().make("corpus", model=model, threads=bench.threads)
        bare = bench.program().make("corpus", model=model, threads=bench.threads)
        added, watched = (side.run(tokens=tokens, mode=mode)["nll"]
                          for side, mode in ((ours, "stats"), (bare, "none")))
        if abs(added - watched) > 1e-6 * abs(watched):
            bench.differ(row, f"losses differ: {added} and {watched}")
        mine, other = bench.interleave(lambda _: ours.seconds(tokens=tokens, mode="stats", calls=4),
                                       lambda _: bare.seconds(tokens=tokens, mode="none", calls=4))
        bench.add(row, [b / a for a, b in zip(mine, other)], 0.92 if row == "P10" else None,
                  "the same calls, nothing added up")
        ours.close()
        bare.close()
    ours = bench.program().make("corpus", model=ROOT / "assets/d8-kappa", threads=bench.threads)
    tenths = [ours.run(tokens=512, mode="stats", calls=100)["tenths"] for _ in range(bench.rounds)]
    bench.add("P10_last", [last / first for first, last in tenths], None, "the first tenth of 100 calls", above=False)
    ours.close()
