# %% [markdown]
# # A trained run: samples, a traversal, its likelihood
#
# A notebook in script form: VS Code, PyCharm and Jupyter with jupytext open it as cells;
# `python docs/notebook.py RUN` runs it as it is. RUN is a run's folder, by default one of the
# profile `quick` (`make all`); the variable `RUNGS_RUN` names one too.

# %%
import os
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import rungs

DEFAULT = "results/quick/runs/mnist5k/gauss/latent2/seed0"
named = sys.argv[1] if len(sys.argv) == 2 and Path(sys.argv[1]).is_dir() else None
run = rungs.load(named or os.environ.get("RUNGS_RUN", DEFAULT))
images = rungs.load_data(run.settings["dataset"]).test_images[:10]
print(run.name, "with", sum(p.numel() for p in run.model.parameters()), "parameters")


# %%
def show(pictures: np.ndarray, rows: int, title: str) -> None:
    """Pictures ``[n, height, width]`` or ``[n, height, width, 3]``, row by row."""
    columns = -(-len(pictures) // rows)
    figure, axes = plt.subplots(rows, columns, figsize=(0.7 * columns, 0.7 * rows), squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for axis, picture in zip(axes.flat, pictures, strict=False):
        axis.imshow(picture, cmap="gray_r", vmin=0, vmax=1)
    figure.suptitle(title)
    plt.show()


# %% [markdown]
# ## Training
# The ELBO of the training images, epoch by epoch.

# %%
plt.figure(figsize=(5, 2.5))
plt.plot(run.history["elbo"])
plt.xlabel("epoch")
plt.ylabel("training ELBO, nats")
plt.show()

# %% [markdown]
# ## Samples and reconstructions
# Mean images of draws from the prior; then test images above their reconstructions.

# %%
show(run.sample(20, seed=0), 2, "samples")
show(np.concatenate([images / 255, run.reconstruct(images)]), 2, "test images, reconstructions")

# %% [markdown]
# ## A traversal
# One unit of the bottom layer moves from -2 to 2, the others stay where a test image put them; the
# units that the model uses most come first.

# %%
code = run.encode(images)[0]
used = np.argsort(-code.var(axis=0))[:5]
steps = np.linspace(-2, 2, 9)
moved = np.repeat(code[:1], len(used) * len(steps), axis=0)
for row, unit in enumerate(used):
    moved[row * len(steps) : (row + 1) * len(steps), unit] = steps
show(run.decode(moved), len(used), "one unit a row")

# %% [markdown]
# ## The likelihood
# The importance weighted bound L_k rises with k to log p(x) (Burda et al. 2016).

# %%
for k in (1, 10, 100):
    bound = run.log_likelihood(images, k=k)
    print(f"L_{k} = {bound.mean():.2f} nats over {len(bound)} test images")
