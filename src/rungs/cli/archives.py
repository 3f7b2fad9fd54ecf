"""The verbs that hand results on: archives of runs, their verification, a profile's metadata."""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

import click

from rungs.cli.shared import cli, load_config, trained_run, with_config
from rungs.errors import ConfigError
from rungs.numerics.seeds import LIKELIHOOD_BLOCK
from rungs.study.layers import Config
from rungs.study.layout import HISTORY, Layout
from rungs.study.runs import Run


def _run_of(profiles: tuple[Path, ...], name: str) -> tuple[Config, Run]:
    """The configuration and run of a verb's RUN: a run, or its folder in results/<profile>/runs."""
    root, found, path = name.rstrip("/").partition("/runs/")
    if not found:
        config = load_config(profiles)
        return config, trained_run(config, name)
    from rungs.exchange.stored_configuration import configuration_of

    run = Run.parse(path)
    return load_config(profiles) if profiles else configuration_of(Path(root), run), run


@cli.command(
    section="archives",
    examples=(
        "rungs export mnist5k/lvae-bn-wu/depth5/seed0",
        "rungs export --half mnist5k/lvae-bn-wu/depth5/seed0 ladder.zip",
    ),
)
@with_config
@click.option(
    "--half", is_flag=True, help="Store float16 weights, if they move L_k by less than 0.01."
)
@click.argument("run")
@click.argument("output", type=click.Path(path_type=Path), default=Path())
def export(profiles: tuple[Path, ...], half: bool, run: str, output: Path) -> None:
    """Write the trained RUN as one archive: weights, settings, origin, numbers, pictures.

    RUN is dataset/variant/depthD/seedS of the profile, or the folder of a run. OUTPUT is the file,
    or the folder that receives it.
    """
    config, parsed = _run_of(profiles, run)
    from rungs.exchange.export import export_run

    made = export_run(config, parsed, output, half)
    click.echo(f"{made.path}: {made.size / 1e6:.2f} MB")
    if made.left_out:
        click.echo(f"left out, to stay small: {', '.join(made.left_out)}")


@cli.command(
    section="archives",
    examples=("rungs load quick-mnist5k-vae-depth2-seed0.zip --as vae",),
)
@click.option("--as", "folder", type=click.Path(path_type=Path), help="Folder to unpack into.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.argument("archive", type=click.Path(path_type=Path))
def load(folder: Path | None, as_json: bool, archive: Path) -> None:
    """Unpack ARCHIVE into a run folder, check every file, and show its numbers."""
    from rungs.exchange.archive import open_archive

    target = open_archive(archive, folder)
    described = json.loads((target / "run.json").read_text(encoding="utf-8"))
    if as_json:
        click.echo(json.dumps({"folder": str(target), **described}, indent=1))
        return
    click.echo(f"{described['run']['run']} (model {described['run']['model']}), in {target}/")
    for name, value in described["numbers"].items():
        text = f"{value:.3f}" if isinstance(value, float) else value
        click.echo(f"  {name.replace('_', ' '):<16}{text}")


@cli.command(
    section="archives",
    examples=(
        "rungs verify quick-mnist5k-vae-depth2-seed0.zip",
        "rungs verify mnist5k/vae/depth2/seed0 --images 200",
        "rungs verify results/quick --json",
    ),
)
@with_config
@click.option(
    "--images",
    default=LIKELIHOOD_BLOCK,
    show_default=True,
    type=click.IntRange(1),
    help="Number of test images to evaluate again.",
)
@click.option("--data", type=click.Path(path_type=Path), help="Path of the prepared data set.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.argument("what")
def verify(
    profiles: tuple[Path, ...], images: int, data: Path | None, as_json: bool, what: str
) -> None:
    """Check WHAT: an archive, a run, or all results of a profile.

    For an archive or a run, some test images are evaluated again with the same random numbers. For
    results/PROFILE, every file is checked: content, settings, keys, origin. The exit status is 1 if
    something is wrong.
    """
    path = Path(what)
    if path.is_dir() and "/runs/" not in what and not (path / HISTORY).is_file():
        _verify_profile(profiles, path, as_json)
    elif path.is_file():
        from rungs.exchange.archive import open_archive

        with tempfile.TemporaryDirectory() as place:
            _verify_run(open_archive(path, Path(place) / "run"), data, images, as_json)
    elif (path / HISTORY).is_file():
        _verify_run(path, data, images, as_json)
    else:
        config = load_config(profiles)
        try:
            run = trained_run(config, what)
        except ConfigError as error:
            raise ConfigError(
                f"{what}: is no archive and no folder that is there; {error}"
            ) from None
        _verify_run(Path(Layout(config["profile"]).run(run)), data, images, as_json)


def _verify_run(folder: Path, data: Path | None, images: int, as_json: bool) -> None:
    from rungs.exchange.archive_format import MANIFEST
    from rungs.exchange.recomputation import verify_run
    from rungs.exchange.unpacked import check_folder
    from rungs.storage import result_file

    if (folder / MANIFEST).is_file():
        check_folder(folder)
    if data is None:
        settings = result_file.read(folder / HISTORY, only=()).attributes["run"]
        data = Path(Layout.data(settings["dataset"]))
    found = verify_run(folder, data, images)
    agree = all(row.agrees for row in found)
    if as_json:
        rows = [asdict(row) | {"agrees": row.agrees} for row in found]
        click.echo(json.dumps({"agrees": agree, "comparisons": rows}, indent=1))
    else:
        head = f"{'quantity':<28}{'images':>7}{'stored':>12}{'recomputed':>12}"
        click.echo(f"{head}{'largest difference':>20}{'allowed':>9}")
        for row in found:
            click.echo(
                f"{row.quantity:<28}{row.images:>7}{row.stored:>12.4f}{row.recomputed:>12.4f}"
                f"{row.difference:>20.2g}{row.tolerance:>9.2g}  {'' if row.agrees else 'DIFFERS'}"
            )
    sys.exit(0 if agree else 1)


def _verify_profile(profiles: tuple[Path, ...], root: Path, as_json: bool) -> None:
    from rungs.exchange.stored_configuration import configuration_of
    from rungs.exchange.verification import verify_results

    config = load_config(profiles) if profiles else configuration_of(root)
    layout = Layout(config["profile"])
    if Path(layout.root).resolve() != root.resolve():
        raise ConfigError(
            f"{root}: is verified from the folder where its profile was run, as {layout.root}."
        )
    count, problems = verify_results(config)
    if as_json:
        rows = [asdict(problem) for problem in problems]
        click.echo(json.dumps({"files": count, "problems": rows}, indent=1))
    else:
        for problem in problems:
            click.echo(f"{problem.path}: {problem.reason}")
        click.echo(f"{root}: {count} files, {len(problems)} problems")
    sys.exit(1 if problems else 0)


@cli.command(
    section="steps",
    examples=("rungs crate --config config/quick.yaml",),
)
@with_config
@click.option("--agent", envvar="RUNGS_AGENT", help="Name of who ran the profile.")
def crate(profiles: tuple[Path, ...], agent: str | None) -> None:
    """Describe a finished profile's results as a Workflow Run RO-Crate."""
    from rungs.exchange.ro_crate import write_crate

    click.echo(write_crate(load_config(profiles), agent))
