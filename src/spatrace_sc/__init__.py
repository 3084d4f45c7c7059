"""Infer signals that regulate genes from spatial transcriptomics over time, without a database."""

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
from ._version import __version__ as __version__

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
