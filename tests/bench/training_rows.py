"""Rows of training: a step against the reference's, and the derivatives of κ-SwiGLU."""

import numpy as np

from rounds import ROOT

DEMO = ROOT / "assets/d8-kappa"
BATCH, LENGTH = 8, 256


def step(bench):
    """T1: forward pass, losses, derivatives and AdamW of the shipped 8-layer model."""
    import torch
    import peers
    if not peers.REFERENCE:
        return bench.absent("T1", 1.3)
    torch.set_num_threads(bench.threads)
    ours = bench.program().make("train", model=DEMO, batch=BATCH, length=LENGTH,
                                threads=bench.threads)
    peer = peers.ReferenceTraining(DEMO, 4800, BATCH, LENGTH)
    mine, theirs = ours.run()["loss"], peer.step()
    if abs(mine - theirs) > 2e-4 * theirs:
        return bench.differ("T1", f"loss {mine}, the reference {theirs}")
    times = bench.interleave(lambda _: ours.seconds(), lambda _: peers.timed(peer.step)[0])
    bench.add("T1", [b / a for a, b in zip(*times)], 1.3,
              "the reference implementation with torch.optim.AdamW, eager")
    ours.close()


def backward(bench):
    """T2: derivatives of κ-SwiGLU by z, up, s, α and b, one thread."""
    for rows in (512, 64):
        sides = [bench.program().make("backward", rows=rows, gates=384, ours=ours)
                 for ours in (True, False)]
        mine, theirs = (side.run()["norms"] for side in sides)
        if not np.allclose(mine, theirs, rtol=1e-4):
            return bench.differ(f"T2_{rows}", f"norms {mine}, by Torch {theirs}")
        times = bench.interleave(*[lambda _, s=s: s.seconds() for s in sides])
        bench.add(f"T2_{rows}", [b / a for a, b in zip(*times)], 2.0,
                  "Torch's derivatives of the formula")
        for side in sides:
            side.close()


def training(bench):
    step(bench)
    backward(bench)
