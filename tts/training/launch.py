"""Several processes that train together: started here, by torchrun or by SLURM, and what they wait for.

`python train.py ... trainer.devices=2` starts the others by itself; torchrun and SLURM start all of them.
"""

import os
from datetime import timedelta
from typing import Any

from lightning.fabric import Fabric
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.strategies.ddp import DDPStrategy as DDPLaunch
from lightning.pytorch.strategies import DDPStrategy, Strategy

from tts import ranks
from tts.errors import ConfigError
from tts.settings import TrainerConfig

# While one process validates or prepares a corpus the others wait. One that dies ends their waiting at once.
PATIENCE = timedelta(hours=12)


def launch(cfg: TrainerConfig) -> None:
    """Start the other processes, unless they were, and meet them.

    Raises:
        ConfigError: if another number of processes was started than the recipe says, or there are not the devices.
    """
    wanted = cfg.devices * cfg.num_nodes
    started = int(os.environ["WORLD_SIZE"]) if "TORCHELASTIC_RUN_ID" in os.environ else wanted
    if started != wanted:
        raise ConfigError(
            f"torchrun started {started} processes, but trainer.devices={cfg.devices} times "
            f"trainer.num_nodes={cfg.num_nodes} are {wanted}; make them the same"
        )
    if wanted == 1 and cfg.strategy == "auto":
        return
    try:
        fabric = Fabric(
            accelerator=cfg.accelerator,
            devices=cfg.devices,
            num_nodes=cfg.num_nodes,
            strategy=DDPLaunch(timeout=PATIENCE),
            plugins=environments(),
        )
        fabric.launch()
    except (ValueError, RuntimeError) as error:
        detail = (str(error) or type(error).__name__).splitlines()[0]
        raise ConfigError(
            f"{cfg.devices} processes a machine on {cfg.num_nodes} machines cannot be started: {detail}"
        ) from None


def environments() -> list[Any]:
    """SLURM's, where it started us: its jobs go on from our own training state, not from one of Lightning's."""
    return [SLURMEnvironment(auto_requeue=False)] if SLURMEnvironment.detect() else []


def strategy_of_training() -> Strategy | str:
    """Lightning's strategy for the processes that have met."""
    if ranks.n_ranks() == 1:
        return "auto"
    # Statistics of normalisation are the same everywhere by themselves, and every weight has a gradient at every step.
    return DDPStrategy(timeout=PATIENCE, broadcast_buffers=False, gradient_as_bucket_view=True)
