"""The verbs that tell what things cost: a profile, and the machine's speed."""

from __future__ import annotations

from pathlib import Path

import click

from rungs.cli.base import cli, known, load_config, print_json, with_config, with_json


@cli.command(
    section="look",
    examples=("rungs cost --config config/paper.yaml", "rungs cost --json | jq .core_hours"),
)
@with_config
@with_json
def cost(profiles: tuple[Path, ...], as_json: bool) -> None:
    """Estimate what a profile will cost, before anything runs."""
    from rungs.cost import summarise

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
        click.echo(f"  {name.replace('_', ' '):<22}{value:>12,.{0 if value >= 100 else 1}f}")


@cli.command(examples=("rungs bench --only training --only likelihood", "rungs bench --share 0.1"))
@click.option("--only", multiple=True, help="One benchmark; may be repeated. All by default.")
@click.option("--repetitions", default=5, show_default=True, type=click.IntRange(2))
@click.option("--share", default=1.0, show_default=True, help="Of the work; less is a quick look.")
@click.option("--threads", default=1, show_default=True, type=click.IntRange(1))
def bench(only: tuple[str, ...], repetitions: int, share: float, threads: int) -> None:
    """Measure our speed beside the machine's limits and beside pythae, into results/bench/."""
    from rungs.bench import BENCHMARKS, Scale, run
    from rungs.tables import save, to_markdown

    for name in only:
        known(name, BENCHMARKS, "benchmark")
    made = run(only or tuple(BENCHMARKS), Scale(repetitions, share, threads)).table()
    save(made, Path("results/bench") / ("-".join(only) or "all"))
    click.echo(to_markdown(made))
