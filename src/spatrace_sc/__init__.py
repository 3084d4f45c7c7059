"""Infer signals that regulate genes from spatial transcriptomics over time, without a database."""

from importlib.metadata import PackageNotFoundError as _NotInstalled
from importlib.metadata import version as _version

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
    UnknownSettingError,
)
from ._model.config import Config, EvidenceConfig, ModelConfig, TrainingConfig
from ._settings import Settings, settings

try:
    __version__ = _version("spatrace-sc")
except _NotInstalled:  # a checkout that is not installed
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
    "Settings",
    "SpatraceError",
    "SpatraceWarning",
    "TrainingConfig",
    "UnknownSettingError",
    "datasets",
    "get",
    "pl",
    "pp",
    "settings",
    "tl",
]
