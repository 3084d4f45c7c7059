"""What is taken from the cells of an inference to read other cells on the same scales."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from anndata import AnnData
from numpy.typing import NDArray

from .._core.counts import Filter
from .._data.expression import expression_by_slice
from .._data.gene_levels import mean_levels
from .._data.genes import gene_labels, symbols_of
from .covariate_scales import CovariateScales, covariate_scales, scaled_covariates
from .histories import tf_filters
from .neighbourhood import StateScales
from .problem import Scaled
from .records import CountNoise, Study
from .source import Source


@dataclass(frozen=True)
class ReadingScales:
    """Scales of one data set, on which other cells are read.

    ``genes`` (all genes of the file, by their names in results) and their mean linear ``levels``
    over the receivers give the scale of counts; both are empty if the data are not counts.
    ``filters`` of the TFs, in order; ``target_mean`` (G,) over all receivers.
    """

    genes: NDArray[np.str_]
    levels: NDArray[np.float64]
    noise: CountNoise
    filters: list[Filter]
    covariates: CovariateScales
    target_mean: NDArray[np.float64]

    @property
    def of_counts(self) -> bool:
        """Whether the data are log1p of normalised counts."""
        return len(self.genes) > 0

    def scaled(self, study: Study) -> Scaled:
        """Return covariates and filters for other cells."""
        return Scaled(scaled_covariates(study, self.covariates), self.filters)

    def to_slots(self) -> dict[str, Any]:
        """Return plain values; 0 stands for infinite standard deviations."""
        shapes = {"mean": (2,), "sd": (2,), "gain": (2, 1)}
        filters = {
            part: np.array([getattr(f, part) for f in self.filters], dtype=float).reshape(
                -1, *shape
            )
            for part, shape in shapes.items()
        }
        covariates = {f.name: getattr(self.covariates, f.name) for f in fields(CovariateScales)}
        state = covariates.pop("state")._asdict()
        return {
            "genes": self.genes.astype(object),
            "levels": self.levels,
            "noise": vars(self.noise),
            "filters": filters | {"sd": _finite(filters["sd"])},
            "covariates": {
                name: value.astype(object) if np.asarray(value).dtype.kind == "U" else value
                for name, value in covariates.items()
            },
            "state": state | {"sd": _finite(state["sd"])},
            "target_mean": self.target_mean,
        }

    @classmethod
    def from_slots(cls, given: Mapping[str, Any]) -> ReadingScales:
        """Build from what :meth:`to_slots` returned, after a file has been written and read."""
        noise, of_cells = dict(given["noise"]), dict(given["covariates"])
        parts = {name: _numbers(given["filters"][name]) for name in Filter._fields}
        parts["sd"] = _infinite(parts["sd"])
        state = {name: _numbers(given["state"][name]) for name in StateScales._fields}
        state["sd"] = _infinite(state["sd"])
        return cls(
            genes=_names(given["genes"]),
            levels=_numbers(given["levels"]),
            noise=CountNoise(
                *(_numbers(noise["logged"]), _numbers(noise["level"])),
                *(float(noise["scale"]), float(noise["overdispersion"])),
            ),
            filters=[Filter(*rows) for rows in zip(*parts.values(), strict=True)],
            covariates=CovariateScales(
                types=_names(of_cells["types"]),
                named=_names(of_cells["named"]),
                n_slices=int(of_cells["n_slices"]),
                n_powers=int(of_cells["n_powers"]),
                state=StateScales(**state),
                **{name: _numbers(of_cells[name]) for name in ("time", "knots", "mean", "sd")},
            ),
            target_mean=_numbers(given["target_mean"]),
        )


def reading_scales(
    adata: AnnData, study: Study, source: Source, *, neighbourhood: bool = True
) -> ReadingScales:
    """Return the scales of a study that was read from ``adata``.

    Without ``neighbourhood`` its state is not a covariate.
    """
    genes, levels = np.empty(0, dtype=str), np.empty(0)
    if study.unit is not None:
        genes, levels = levels_by_label(adata, study.rows, study.unit, study.receivers, source)
    return ReadingScales(
        genes=genes,
        levels=levels,
        noise=study.noise,
        filters=tf_filters(study),
        covariates=covariate_scales(study, neighbourhood=neighbourhood),
        target_mean=study.target.mean(axis=0, dtype=np.float64),
    )


def levels_by_label(
    adata: AnnData,
    rows: NDArray[np.intp],
    unit: NDArray[np.float64],
    receivers: NDArray[np.bool_],
    source: Source,
) -> tuple[NDArray[np.str_], NDArray[np.float64]]:
    """Return the names in results of all genes, and their mean linear levels over the receivers.

    ``rows`` (cells,) are positions in the file; ``unit`` (cells,), the value of one molecule, and
    the mask of ``receivers`` (cells,) follow them.
    """
    matrix, _ = expression_by_slice(adata, source.layer, source.slice_column)
    in_file, receiving = np.empty_like(unit), np.empty_like(receivers)
    in_file[rows], receiving[rows] = unit, receivers
    labels = gene_labels(adata, symbols_of(adata, source.gene_symbols))
    names = np.array([labels[str(name)] for name in adata.var_names], dtype=str)
    return names, mean_levels(matrix, in_file, receiving)


def _names(values: Any) -> NDArray[np.str_]:
    return np.array([str(value) for value in values], dtype=str)


def _numbers(values: Any) -> NDArray[np.float64]:
    return np.asarray(values, dtype=np.float64)


def _finite(sd: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(np.isfinite(sd), sd, 0.0)


def _infinite(sd: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(sd > 0, sd, np.inf)
