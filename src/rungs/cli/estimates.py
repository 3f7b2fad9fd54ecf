"""The verbs that measure beside the workflow: what a profile costs, the machine's speed, and a second
estimate of a run's likelihood."""

from __future__ import annotations

from pathlib import Path

import click

from rungs.cli.shared import (
    RUN,
    cli,
    known,
    load_config,
    print_columns,
    print_json,
    trained_run,
    with_config,
    with_json,
)
from rungs.errors import ConfigError
from rungs.study.layout import Layout


@cli.command(
    section="look",
    examples=("rungs cost --config config/paper.yaml", "rungs cost --json | jq .core_hours"),
)
@with_config
@with_json
def cost(profiles: tuple[Path, ...], as_json: bool) -> None:
    """Estimate what a profile will cost, before anything runs."""
    from rungs.jobs.cost import summarise
    from rungs.models.cost import CORES

    config = load_config(profiles)
    totals = summarise(config)
    if as_json:
        print_json(totals)
        return
    device = config["compute"]["device"]
    click.echo(f"profile {config['profile']} on {device}, estimated:")
    if device == "cuda":
        click.echo(
            "  (no GPU has been measured: its hours are those of a CPU core, an upper bound)"
        )
    for name, value in totals.items():
        click.echo(f"  {name.replace('_', ' '):<22}{_short(value):>12}")
    click.echo(f"The core has {CORES['float32']}.")
    click.echo(f"That of compute.precision: bfloat16 has {CORES['bfloat16']}.")


def _short(value: float) -> str:
    """Return a count whole, and a measure with three digits, below 100.

    >>> _short(12345), _short(234.5), _short(3.14159), _short(0.00123)
    ('12,345', '234', '3.14', '0.00123')
    """
    return f"{value:,.0f}" if isinstance(value, int) or value >= 100 else f"{value:.3g}"


@cli.command(examples=("rungs bench --only training --only likelihood", "rungs bench --share 0.1"))
@click.option("--only", multiple=True, help="Run this benchmark only; may be repeated.")
@click.option(
    "--repetitions", default=5, show_default=True, type=click.IntRange(2), help="Number of turns."
)
@click.option(
    "--share", default=1.0, show_default=True, help="Share of the work; less gives a quick look."
)
@click.option(
    "--threads", default=1, show_default=True, type=click.IntRange(1), help="Threads of torch."
)
def bench(only: tuple[str, ...], repetitions: int, share: float, threads: int) -> None:
    """Compare our speed with the machine's limits and with pythae, in results/bench/."""
    from rungs.bench import BENCHMARKS, Scale, run
    from rungs.tables import save, to_markdown

    for name in only:
        known(name, BENCHMARKS, "benchmark")
    made = run(only or tuple(BENCHMARKS), Scale(repetitions, share, threads)).table()
    save(made, Path("results/bench") / ("-".join(only) or "all"))
    click.echo(to_markdown(made))


@cli.command(
    examples=(
        "rungs ais mnist5k/gauss/latent10/seed0 --images 50",
        "rungs ais mnist5k/mog/latent10/seed0 --simulated --float64",
    )
)
@with_config
@with_json
@click.option(
    "--images", default=100, show_default=True, type=click.IntRange(2), help="Number of images."
)
@click.option(
    "--chains", default=16, show_default=True, type=click.IntRange(1), help="Chains per image."
)
@click.option(
    "--steps", default=1000, show_default=True, type=click.IntRange(1), help="Annealing steps."
)
@click.option("--samples", type=click.IntRange(1), help="k of L_k; the default is the profile's.")
@click.option(
    "--start",
    default="prior",
    type=click.Choice(["prior", "posterior"]),
    help="Where chains start.",
)
@click.option(
    "--simulated", is_flag=True, help="Draw images from the model, which adds an upper bound."
)
@click.option("--float64", "double", is_flag=True, help="Run the chains in double precision.")
@click.argument("run", type=RUN)
def ais(
    profiles: tuple[Path, ...],
    as_json: bool,
    images: int,
    chains: int,
    steps: int,
    samples: int | None,
    start: str,
    simulated: bool,
    double: bool,
    run: str,
) -> None:
    """Check L_k of the trained RUN by annealed importance sampling."""
    from rungs.evaluation.ais import compare, simulate
    from rungs.evaluation.annealing import Settings
    from rungs.evaluation.likelihood import standard_error
    from rungs.evaluation.run import load_model
    from rungs.evaluation.splits import Split
    from rungs.models import entry
    from rungs.numerics.torch_setup import prepare_process
    from rungs.study.settings import evaluation_settings

    config = load_config(profiles)
    parsed, layout = trained_run(config, run), Layout(config["profile"])
    k = samples or evaluation_settings(config, parsed)["samples"]
    model, settings = load_model(Path(layout.run(parsed)))
    if not entry(settings["model"]).sampled:
        raise ConfigError(
            f"run {run}: the model {settings['model']} has no likelihood to be sampled."
        )
    prepare_process(settings["threads"])
    z = None
    if simulated:
        x, z = simulate(model, images, settings["seed"])
    else:
        x = Split.read(Path(layout.data(parsed.dataset)), "test", images, model.binary).x
    found = compare(model, x, z, Settings(chains, steps, start=start), k, settings["seed"], double)
    names = {"lower": "AIS", "lk": f"L_{k}", "upper": "AIS backwards"}
    told = {
        names[name]: {
            "nats": float(found[name].mean()),
            "standard_error": standard_error(found[name]),
            "less_lk": float((found[name] - found["lk"]).mean()),
            "less_lk_standard_error": standard_error(found[name] - found["lk"]),
        }
        for name in names
        if name in found
    }
    if as_json:
        print_json({"run": run, "images": len(x), "simulated": simulated, **told})
        return
    click.echo(f"{run}: {len(x)} {'simulated' if simulated else 'test'} images, nats an image")
    rows: list[tuple[str, ...]] = [("", "mean", "s.e.", f"less L_{k}", "s.e.")]
    rows += [(name, *(f"{value:.3f}" for value in row.values())) for name, row in told.items()]
    print_columns(rows)
