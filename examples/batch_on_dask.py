"""Many scenes on a Dask cluster; here one of this machine takes the place of yours."""

from pathlib import Path
from tempfile import TemporaryDirectory

from distributed import LocalCluster

import glacierx as gx
from glacierx.batch.cluster import Cluster


def main(folder: Path) -> None:
    """Make two scenes, and map them on two workers."""
    rows = []
    for seed in (2, 3):
        made = gx.simulate(folder / f"made{seed}", gx.SimulateOptions(size=192, gsd=30, seed=seed))
        rows.append({"scene": str(made.scene), "dem": str(made.dem), "name": f"scene{seed}"})
    # Of a cluster that is there, its address alone is needed: tcp://host:8786.
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        runner = Cluster(cluster.scheduler_address)
        done = gx.batch(rows, folder / "results", {"model": "ndsi"}, runner=runner)
        runner.close()
    print(done)
    done.check()


if __name__ == "__main__":
    with TemporaryDirectory() as name:
        main(Path(name))
