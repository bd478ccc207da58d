"""glacierx batch."""

from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from glacierx.cli._divides import dem_options, divides_option
from glacierx.cli._options import AutoNumber, Command, options_for, progress, say
from glacierx.cli._scene import (
    aux_option,
    hash_option,
    model_option,
    scenes_options,
)
from glacierx.options import DivideOptions, EngineOptions, OutlineOptions, PredictOptions


@click.command("batch", cls=Command)
@click.argument("scenes", nargs=-1, required=True, metavar="MANIFEST|'*.tif'...")
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Where results go: a folder for each scene, and results.jsonl.",
)
@scenes_options
@dem_options[0]
@dem_options[1]
@aux_option
@model_option
@divides_option
@click.option("--probability", is_flag=True, help="Keep probability maps (NAME_probability.tif).")
@click.option("--mask", is_flag=True, help="Write masks too (NAME_mask.tif).")
@click.option("--class-map", is_flag=True, help="Write class maps too (NAME_class.tif).")
@hash_option
@click.option(
    "--overwrite",
    is_flag=True,
    help="Do every scene again, and replace files that no batch wrote.",
)
@click.option("--retry-failed", is_flag=True, help="Do those again that failed.")
@click.option(
    "--keep-going/--fail-fast",
    default=True,
    show_default=True,
    help="Go on where a scene fails, or begin no more.",
)
@click.option(
    "--jobs",
    type=AutoNumber(),
    default="auto",
    show_default=True,
    metavar="auto|N",
    help="Scenes at once on this machine; auto is one for each of several GPUs, else 1.",
)
@click.option("--shard", metavar="K/N", help="Do the K-th of N shares of the scenes alone.")
@click.option("--scheduler", metavar="ADDRESS", help="Do it on a Dask cluster: tcp://host:8786.")
@click.option(
    "--worker-resource",
    multiple=True,
    metavar="NAME=NUM",
    help="What a worker of the cluster must have for each scene, as GPU=1.",
)
@options_for(EngineOptions, "engine")
@options_for(PredictOptions, "predicting")
@options_for(OutlineOptions, "outlining")
@options_for(DivideOptions, "dividing")
def command(
    scenes: tuple[str, ...],
    output: Path,
    scene: dict[str, Any],
    divides: Path | None,
    keep_going: bool,
    jobs: int | None,
    shard: str | None,
    scheduler: str | None,
    worker_resource: tuple[str, ...],
    engine: EngineOptions,
    predicting: PredictOptions,
    outlining: OutlineOptions,
    dividing: DivideOptions,
    **arguments: Any,
) -> None:
    """Extract the outlines of many scenes, each into a folder of its own.

    A manifest is a csv with a header or a jsonl file; its columns are scene, name, date, dem, model
    and whatever else is a flag of extract. Flags given here hold for all scenes whose line says
    nothing else. What is done is not done again, unless its files or options have changed.

    \b
    Example:
        glacierx batch scenes.csv -o results/
    """
    from glacierx.batch.batch import Kept, batch, local_runner, summary, with_decoders
    from glacierx.batch.cluster import Cluster, parse_resources
    from glacierx.errors import OptionError

    if jobs is not None and not 1 <= jobs <= 1024:
        raise OptionError(f"--jobs is {jobs}. It takes a number from 1 to 1024, or auto.")
    if worker_resource and not scheduler:
        raise OptionError(
            "--worker-resource is for --scheduler. Give its address, or leave it out."
        )
    if jobs is not None and scheduler:
        raise OptionError("--jobs is for this machine, and --scheduler for a cluster. Give one.")
    groups = (engine, predicting, outlining, dividing)
    defaults = {name: value for group in groups for name, value in asdict(group).items()}
    defaults |= {**scene, "divides": divides}
    defaults |= {name: arguments.pop(name) for name in ("dem", "dem_band", "aux", "model")}
    resources = parse_resources(worker_resource)
    runner: Any
    if scheduler:
        runner = Cluster(scheduler, resources)
    else:
        runner = local_runner(jobs, engine.device)
        defaults = with_decoders(defaults, runner.count)
    with ExitStack() as stack:
        if isinstance(runner, Cluster):
            stack.callback(runner.close)
        done = batch(
            scenes, output, defaults, Kept(**arguments), runner=runner, shard=shard,
            fail_fast=not keep_going, progress=progress(), say=say,
        )  # fmt: skip
    click.echo(done)
    say(summary(done.outcomes))
    say(f"Written: {done.results}")
    done.check()
