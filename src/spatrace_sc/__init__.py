"""Signals that change genes, from spatial transcriptomics over time, without a ligand–receptor database."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from . import datasets, get, pl, pp, tl
from ._errors import (
    ChecksumError,
    DataError,
    DeviceError,
    DownloadError,
    InvalidArgumentError,
    MissingKeyError,
    MissingPackageError,
    SpatraceError,
    SpatraceWarning,
)
from ._model.config import Config, EvidenceConfig, ModelConfig, TrainingConfig

try:
    __version__ = version("spatrace-sc")
except PackageNotFoundError:  # a checkout that is not installed
    __version__ = "0.0.0"

__all__ = [
    "ChecksumError",
    "Config",
    "DataError",
    "DeviceError",
    "DownloadError",
    "EvidenceConfig",
    "InvalidArgumentError",
    "MissingKeyError",
    "MissingPackageError",
    "ModelConfig",
    "SpatraceError",
    "SpatraceWarning",
    "TrainingConfig",
    "datasets",
    "get",
    "pl",
    "pp",
    "tl",
]
