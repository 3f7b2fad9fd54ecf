"""The same networks in pythae's VAE (Chadebec et al. 2022): its objective, its training loop, its
estimator of the likelihood."""

from __future__ import annotations

import contextlib
import io
import logging
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import torch
from torch import Tensor


def available() -> bool:
    """Return whether pythae is installed (``make bench`` does it)."""
    try:
        import pythae  # noqa: F401
    except ImportError:
        return False
    return True


def wrap(model: Any, pixels: int, units: int) -> Any:
    """The networks of one of our models, weights included, as pythae's VAE."""
    from pythae.models import VAE, VAEConfig
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder

    class Encoder(BaseEncoder):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, x: Tensor) -> Any:
            posterior = self.model.encode(x)
            return ModelOutput(embedding=posterior.mean, log_covariance=posterior.variance.log())

    class Decoder(BaseDecoder):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, z: Tensor) -> Any:
            return ModelOutput(reconstruction=self.model.decode(z))

    settings = VAEConfig(input_dim=(pixels,), latent_dim=units, reconstruction_loss="bce")
    return VAE(settings, encoder=Encoder(), decoder=Decoder())


class Trainer:
    """pythae's own training loop, an epoch at a time."""

    def __init__(
        self, model: Any, images: Tensor, batch: int, rate: float, epsilon: float, epochs: int
    ) -> None:
        from pythae.data.datasets import BaseDataset
        from pythae.trainers import BaseTrainer, BaseTrainerConfig

        logging.disable(logging.INFO)
        settings = BaseTrainerConfig(
            output_dir=mkdtemp(prefix="pythae-"),
            per_device_train_batch_size=batch,
            learning_rate=rate,
            num_epochs=epochs,
            optimizer_cls="Adam",
            optimizer_params={"eps": epsilon},
            no_cuda=True,
        )
        data = BaseDataset(images, torch.zeros(len(images)))
        with _quiet():
            self.trainer = BaseTrainer(model=model, train_dataset=data, training_config=settings)
            self.trainer.prepare_training()
        self.epoch = 0

    def run_epoch(self) -> None:
        """One pass over the data."""
        self.epoch += 1
        with _quiet():
            self.trainer.train_step(self.epoch)

    @property
    def folder(self) -> Path:
        """Where pythae writes."""
        return Path(self.trainer.training_config.output_dir)


@contextlib.contextmanager
def _quiet() -> Any:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield


def elbo(model: Any, x: Tensor, seed: int) -> float:
    """One-draw ELBO of a pythae VAE, averaged over images, nats."""
    torch.manual_seed(seed)
    model.eval()
    with torch.no_grad():
        return -float(model({"data": x}).loss)
