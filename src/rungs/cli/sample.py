"""``rungs sample``: images from a trained run's prior."""

from __future__ import annotations

from pathlib import Path

import click

from rungs.cli.shared import RUN, cli, known_run, load_config, with_config
from rungs.errors import ConfigError, StoreError

SUFFIXES = (".png", ".npz")
#: pixels of the longer side of a picture, at least; smaller ones have their pixels repeated
LEAST_SIDE = 600


@cli.command(
    section="work",
    examples=(
        "rungs sample mnist5k/lvae-bn-wu/depth5/seed0 samples.png",
        "rungs sample mnist5k/mog/latent10/seed0 --count 1000 --seed 1 samples.npz",
    ),
)
@with_config
@click.option(
    "--count", default=64, show_default=True, type=click.IntRange(1), help="Number of images."
)
@click.option(
    "--seed", default=0, show_default=True, type=click.IntRange(0), help="Seed of the draws."
)
@click.argument("run", type=RUN)
@click.argument("output", type=click.Path(path_type=Path, dir_okay=False))
def sample(profiles: tuple[Path, ...], count: int, seed: int, run: str, output: Path) -> None:
    """Draw samples of the trained RUN from its prior, into OUTPUT.

    OUTPUT is a picture (.png) of all images side by side, enlarged, or a file (.npz) with the array
    images, uint8 [count, height, width] or [..., 3]. A VQ-VAE draws its codes from the learnt prior.
    """
    config = load_config(profiles)
    parsed = known_run(config, run)
    if output.suffix not in SUFFIXES:
        raise ConfigError(f"{output}: samples are written as {' or '.join(SUFFIXES)}.")
    import math

    import numpy as np

    from rungs.api import load
    from rungs.storage.atomic import replacing
    from rungs.study.settings import code_prior_settings

    trained = load(parsed.path, config["profile"], config)
    if trained.prior is None and code_prior_settings(config, parsed) is not None:
        raise StoreError(f"{trained.folder}: has no prior yet; run rungs prior {run} first.")
    images = np.rint(255 * trained.sample(count, seed)).astype(np.uint8)
    with replacing(output) as temporary:
        if output.suffix == ".npz":
            np.savez_compressed(temporary, images=images, run=run, seed=seed)
        else:
            from PIL import Image

            from rungs.figures.pictures import picture_grid

            columns = math.ceil(math.sqrt(count))
            grid = picture_grid(images.reshape(count, -1), columns, trained.settings)
            factor = math.ceil(LEAST_SIDE / max(grid.shape[:2]))
            grid = grid.repeat(factor, axis=0).repeat(factor, axis=1)
            Image.fromarray(grid).save(temporary)
    size = " by ".join(map(str, images.shape[1:3]))
    click.echo(f"{output}: {count} samples of {trained.name}, {size} pixels each")
