"""Steps that preparation and inference share: roles, radius, embedding."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray
from scipy import sparse

from . import _keys
from ._backed import OnDisk, blocks_of
from ._core.exposure import median_share_within, nearest_neighbour_distance, nearest_neighbour_distances
from ._errors import DataError, MissingKeyError, warn
from ._genes import in_raw, tell_missing
from ._validate import closest, columns, matrix_of, positive, shorten

logger = logging.getLogger("spatrace_sc")

#: Default radius in multiples of the median distance between nearest cells.
RADIUS_FACTOR = 5.0
#: Outside this many multiples of that distance a radius draws a warning, and beyond this share of the cells of a slice.
SENSIBLE, LARGE_PART = (1.0, 40.0), 0.5
#: In slices of fewer cells any neighbourhood is a large part.
SMALL_SLICE = 50
#: Samples whose cells lie this many times closer than those of another draw a warning.
DIFFERENT_SCALE = 1.8
#: What missing names look like as text.
NO_NAME = {"", "nan", "None", "<NA>"}
#: Targets taken when none are named and no highly variable genes are flagged.
MAX_DEFAULT_TARGETS = 1000


def resolve_radius(radius: float | None, coords: NDArray[np.floating], sample: NDArray[np.integer]) -> float:
    """The radius given, checked against the distance between cells; or the default, logged."""
    positive(radius, "radius", " in the units of the coordinates")
    by_sample = [float(np.median(d)) for d in nearest_neighbour_distances(coords, sample)]
    nearest = nearest_neighbour_distance(coords, sample)
    small = np.median(np.unique(sample, return_counts=True)[1]) < SMALL_SLICE
    if by_sample and max(by_sample) > DIFFERENT_SCALE * min(by_sample):
        warn(
            f"the median distance to the nearest cell differs between samples from {min(by_sample):.4g} to {max(by_sample):.4g}: are their coordinates in different units, such as pixels of images of "
            "different size? One radius holds for all; bring the samples to one unit first, for spots by `st.pp.scale_positions(adata, distance between spots, sample_key=...)`."
        )
    if radius is None:
        if not np.isfinite(nearest):
            raise DataError(
                "all cells of every sample share one position, so no radius can be derived; check the coordinates and `sample_key`."
            )
        radius = RADIUS_FACTOR * nearest
        logger.info(
            "radius = %.4g: %g × the median distance to the nearest cell (%.4g), in the units of the coordinates.",
            radius,
            RADIUS_FACTOR,
            nearest,
        )
        if not small and (share := median_share_within(coords, sample, radius)) > LARGE_PART:
            warn(
                f"the default `radius`, {radius:.4g}, would make {100 * share:.0f} % of its slice (median) a cell's neighbourhood; state one in the units of the coordinates."
            )
        return radius
    radius = float(radius)
    share = median_share_within(coords, sample, radius)
    if np.isfinite(nearest) and (
        (share > LARGE_PART and not small) or not SENSIBLE[0] <= radius / nearest <= SENSIBLE[1]
    ):
        effect = (
            "most cells have no neighbour within it"
            if radius < nearest
            else f"a cell's neighbourhood would be {100 * share:.0f} % of its slice (median)"
        )
        warn(
            f"`radius={radius:g}` is {radius / nearest:.2g} times the median distance to the nearest cell ({nearest:.4g}): {effect}. Is it in the units of the coordinates (pixels or µm)?"
        )
    return radius


def flagged(adata: AnnData, argument: str) -> list[str]:
    """Genes whose role is flagged in ``var``."""
    column = _keys.ROLES[argument]
    if column not in adata.var:
        raise MissingKeyError(
            f"`{argument}` was not given and `adata.var[{column!r}]` does not exist. Call `st.pp.gene_roles(adata, ligands=..., receptors=..., tfs=...)` first or pass the genes as `{argument}`."
        )
    flags = adata.var[column]
    mask = flags.where(flags.notna(), False).astype(bool).to_numpy()
    if not mask.any():
        raise DataError(
            f"`{argument}` was not given and `adata.var[{column!r}]` flags no gene; call `st.pp.gene_roles` again or pass the genes as `{argument}`."
        )
    return list(adata.var_names[mask])


def default_targets(
    adata: AnnData, regulators: set[str], matrix: sparse.csr_matrix | NDArray[np.floating] | OnDisk
) -> list[str]:
    """Highly variable genes when they are flagged; otherwise the most variable of those seen in 5 % of cells. Never a regulator."""
    if "highly_variable" in adata.var:
        chosen = adata.var_names[adata.var["highly_variable"].to_numpy(dtype=bool)]
        kept = [g for g in chosen if g not in regulators]
        logger.info("targets: %d highly variable genes without another role.", len(kept))
        return kept
    mean, square, share = _moments(matrix)
    seen = share >= 0.05
    spread = np.where(seen, square - mean**2, -1.0)
    order = [k for k in np.argsort(-spread, kind="stable") if spread[k] > 0 and adata.var_names[k] not in regulators]
    logger.info(
        "targets: the %d most variable of %d genes seen in at least 5 %% of cells.",
        min(len(order), MAX_DEFAULT_TARGETS),
        int(seen.sum()),
    )
    return list(adata.var_names[np.array(order[:MAX_DEFAULT_TARGETS], dtype=np.intp)])


def _moments(
    matrix: sparse.csr_matrix | NDArray[np.floating] | OnDisk,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """(genes,) mean, mean square and share of cells above 0, summed block by block."""
    sums = np.zeros((3, matrix.shape[1]))
    for block in blocks_of(matrix):
        values = block.astype(np.float64)
        square = values.multiply(values) if isinstance(values, sparse.csr_matrix) else np.square(values)
        for total, part in zip(sums, (values, square, values > 0), strict=True):
            total += np.asarray(part.sum(axis=0)).ravel()
    mean, square, seen = sums / max(1, matrix.shape[0])
    return mean, square, seen


def match(
    adata: AnnData,
    names: Sequence[str],
    argument: str,
    symbols: NDArray[np.object_] | None = None,
    column: str | None = None,
) -> NDArray[np.bool_]:
    """Mask over genes. Logs how many were found, and warns if it is less than half; none is an error that names a likely reason. ``column`` is where the symbols are from."""
    wanted = {str(n) for n in ([names] if isinstance(names, str) else names)} - NO_NAME
    have = np.asarray(adata.var_names if symbols is None else symbols, dtype=str)
    mask = np.isin(have, list(wanted))
    found = set(have[mask])
    if not found:
        raise DataError(
            f"none of the {len(wanted)} `{argument}` is in the data ({shorten(sorted(wanted), 3)} against {shorten(have, 3)}).{_reason(adata, wanted, have)}"
        )
    tell_missing(adata, sorted(wanted - found), len(wanted), argument, have, column)
    return mask


def symbols_of(adata: AnnData, column: str | None) -> NDArray[np.object_] | None:
    """Names to match genes by, from a column of ``var``; None for ``var_names``."""
    if column is None:
        return None
    if column not in adata.var:
        raise MissingKeyError(
            f"`gene_symbols={column!r}` is not in `adata.var`; it has {shorten(adata.var.columns, 15)}.{closest(column, adata.var.columns)}"
        )
    named = adata.var[column].astype(object)
    symbols: NDArray[np.object_] = named.where(named.notna(), "nan").astype(str).to_numpy(dtype=object)
    return symbols


def names_by_label(adata: AnnData, column: str | None) -> dict[str, str]:
    """What genes are called in results → their names in ``var_names``."""
    symbols = symbols_of(adata, column)
    if symbols is None:
        return {n: n for n in adata.var_names.astype(str)}
    return {label: name for name, label in labels_of(adata, symbols).items()}


def labels_of(adata: AnnData, symbols: NDArray[np.object_]) -> dict[str, str]:
    """What each gene is called in results: its symbol; with its name in ``var_names`` where several genes share the symbol; that name alone where it has none."""
    shared = set(symbols[pd.Series(symbols).duplicated(keep=False).to_numpy()])
    names = adata.var_names.astype(str)
    return {
        n: n if s in NO_NAME else f"{s} ({n})" if s in shared else str(s) for n, s in zip(names, symbols, strict=True)
    }


def _reason(adata: AnnData, wanted: set[str], have: NDArray[np.str_], verb: str = "st.pp.gene_roles") -> str:
    """Why none of the names given to ``verb`` may be in the data, and what to do."""
    upper = {w.upper() for w in wanted}
    if upper & {h.upper() for h in have}:
        return " They match when upper and lower case are ignored: mouse genes are written 'Wnt5a', human ones 'WNT5A'."
    for column in adata.var.columns:
        values = adata.var[column]
        if values.dtype == object or str(values.dtype) in {"category", "string", "str"}:
            share = upper & {str(v).upper() for v in values}
            if share:
                return f" {len(share)} of them are in `adata.var[{column!r}]`: pass `gene_symbols={column!r}` to `{verb}` and `st.tl.infer_ccc`."
    return in_raw(adata, wanted) or " Check species and identifiers."


def embed(
    adata: AnnData, cells: NDArray[np.bool_], use_rep: str | None, n_pcs: int, layer: str | None
) -> NDArray[np.float64]:
    """Coordinates of the chosen cells in expression space: ``obsm[use_rep]``, or principal components computed on these cells.

    Components are computed on the genes with a role where they are flagged, otherwise on highly variable genes, otherwise on all; genes are put in alphabetical
    order first, so that their order in the data does not matter.
    """
    if use_rep is not None:
        if use_rep not in adata.obsm:
            raise MissingKeyError(f"`use_rep={use_rep!r}` is not in `adata.obsm`; it has {shorten(adata.obsm.keys())}.")
        values = np.asarray(adata.obsm[use_rep], dtype=np.float64)[cells]
        if not np.isfinite(values).all():
            raise DataError(f"`adata.obsm[{use_rep!r}]` has NaN or inf in cells that need it.")
        return values[:, :n_pcs]
    roles = [c for c in _keys.ROLES.values() if c in adata.var]
    if roles:
        mask = adata.var[roles].to_numpy(dtype=bool).any(axis=1)
    elif "highly_variable" in adata.var:
        mask = adata.var["highly_variable"].to_numpy(dtype=bool)
    else:
        mask = np.ones(adata.n_vars, dtype=bool)
    genes = np.flatnonzero(mask)
    genes = genes[np.argsort(adata.var_names[genes].to_numpy(dtype=str), kind="stable")]
    matrix, _ = matrix_of(adata, layer)
    return principal_components(matrix[np.flatnonzero(cells)], genes, n_pcs)


def principal_components(
    matrix: sparse.csr_matrix | NDArray[np.floating] | OnDisk, genes: NDArray[np.integer], n_pcs: int
) -> NDArray[np.float64]:
    """(cells, components) scores of the PCA that scanpy uses on the given genes."""
    block, n = _varying(matrix, genes, n_pcs)
    logger.info("%d principal components of %d genes in %d cells.", n, block.shape[1], len(block))
    return _pca(block, n)


def reliable_components(
    matrix: sparse.csr_matrix | NDArray[np.floating], genes: NDArray[np.integer], n_pcs: int
) -> NDArray[np.float64]:
    """(cells, components) scores of the principal components that hold more variance than chance, at least one.

    Parallel analysis: genes are brought to unit variance, permuted over the cells each on its own, and the k-th component is compared with the k-th of the permuted data. Components are kept
    up to the first that varies no more, each multiplied by √reliability, reliability = 1 − variance of the permuted / variance.
    """
    block, n = _varying(matrix, genes, n_pcs)
    block = (block - block.mean(axis=0)) / block.std(axis=0)
    scores = _pca(block, n)
    rng = np.random.default_rng(0)
    chance = _pca(np.stack([rng.permutation(gene) for gene in block.T], axis=1), n).var(axis=0)
    reliability = np.clip(1.0 - chance / np.maximum(scores.var(axis=0), 1e-12), 0.0, 1.0)
    nothing = np.flatnonzero(reliability <= 0)
    kept = int(nothing[0]) if len(nothing) else n
    logger.info("%d of %d principal components vary more than in permuted data.", kept, n)
    n_kept = max(1, kept)
    return np.asarray(scores[:, :n_kept] * np.sqrt(np.maximum(reliability[:n_kept], 1e-3)))


def _varying(
    matrix: sparse.csr_matrix | NDArray[np.floating] | OnDisk, genes: NDArray[np.integer], n_pcs: int
) -> tuple[NDArray[np.float32], int]:
    """The genes that vary, and how many components they allow."""
    block = columns(matrix, genes)
    block = block[:, block.std(axis=0) > 0]
    n = min(n_pcs, block.shape[1] - 1, len(block) - 1)
    if n < 1:
        raise DataError("fewer than two genes vary among the receivers, so cells cannot be compared.")
    return block, n


def _pca(block: NDArray[np.floating], n: int) -> NDArray[np.float64]:
    from sklearn.decomposition import PCA  # what scanpy calls, without the seconds that importing scanpy takes

    return np.asarray(PCA(n, svd_solver="arpack", random_state=0).fit_transform(block), dtype=np.float64)
