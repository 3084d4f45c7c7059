"""Published atlases of tissue over time."""

from __future__ import annotations

import os
import re
from collections.abc import Callable

from anndata import AnnData

from .._check import positive, whole
from .._settings import settings
from ._download import Transfer
from ._fetch import fetch
from ._published import read_published, why_not_hdf5
from ._registry import registry

#: Maps the name of a stage or slice to its stage and time; None when the name says neither.
Stage = Callable[[str], tuple[str, float] | None]


def mouse_midbrain(
    *,
    cache_dir: str | os.PathLike[str] | None = None,
    mirror: str | None = None,
    verify: bool = False,
    progressbar: bool | None = None,
    timeout: float = 60.0,
    retries: int = 4,
) -> AnnData:
    """Dorsal midbrain of the mouse embryo, E12.5, E14.5 and E16.5 (MOSTA, Stereo-seq).

    The first call downloads the file from the publisher. Later calls read it from the cache and
    need no network.

    Parameters
    ----------
    cache_dir
        Folder for the file. None: ``st.settings.data_dir``, which is the environment variable
        ``SPATRACE_SC_DATA_DIR`` or else the operating system's folder for caches.
    mirror
        Address (http or https) of a folder that serves the file under its own name, used instead
        of the publisher. None: ``st.settings.mirror``, which is the environment variable
        ``SPATRACE_SC_MIRROR`` or else none.
    verify
        Compute the checksum of the file in the cache. Otherwise it is computed when the size or the
        time of change differs from the record. The publisher states no checksum, so the checksum of
        the first download is recorded next to the file and used from then on.
    progressbar
        Show the progress of a download. None: ``st.settings.progress``.
    timeout
        Seconds without a byte after which an attempt to download fails. A slow transfer that
        continues does not time out.
    retries
        Number of consecutive attempts without progress before the download is aborted. An attempt
        resumes where the last one stopped, if the server supports it. The next call starts again.

    Returns
    -------
    AnnData, cells × genes, with

    - ``X`` log1p of counts per 10 000, computed from ``layers["counts"]`` (both sparse csr,
      float32). The published ``X`` is not used.
    - ``obs``: ``cell_type``; ``sample``, the slice; ``stage``, ordered; ``stage_time``, days after
      conception (12.5 for E12.5); and the published columns. A published column that has one of
      these names becomes ``published_`` + name.
    - ``obsm["spatial"]``, (cells, 2 or 3), and the other published arrays. The file does not state
      the unit: look at the distances between neighbours before you set a ``radius``. Without one,
      :func:`spatrace_sc.tl.infer_ccc` uses a multiple of the median distance between nearest cells.
    - ``uns["citation"]``; ``uns["atlas"]``: ``name``, ``title``, ``doi``, ``url``, ``file``,
      ``sha256`` and ``checksum``, the source of the checksum.

    The published ``uns``, ``obsp``, ``varm`` and other layers stay in the file, whose path is
    ``uns["atlas"]["file"]``.

    Raises
    ------
    DownloadError
        The file cannot be downloaded. The message explains how to place it by hand.
    ChecksumError
        The file does not match the recorded checksum. A download is then deleted, and a file in the
        cache is kept. Neither is read.
    DataError
        The layout of the file differs from the one described here.

    References
    ----------
    Chen et al., *Cell* 185, 1777–1792 (2022), doi 10.1016/j.cell.2022.04.003. The publisher decides
    whether and how you may use the data.

    Examples
    --------
    >>> import spatrace_sc as st
    >>> adata = st.datasets.mouse_midbrain()  # doctest: +SKIP
    >>> adata.obs.groupby("stage", observed=True)["stage_time"].first()  # doctest: +SKIP
    """
    transfer = _transfer(timeout, retries, progressbar)
    return _atlas("mouse_midbrain", embryonic_day, cache_dir, mirror, verify, transfer)


def axolotl_regeneration(
    *,
    cache_dir: str | os.PathLike[str] | None = None,
    mirror: str | None = None,
    verify: bool = False,
    progressbar: bool | None = None,
    timeout: float = 60.0,
    retries: int = 4,
) -> AnnData:
    """Telencephalon of the axolotl, 2 to 60 days after injury and uninjured (ARTISTA, Stereo-seq).

    The first call downloads the file from the publisher. Later calls read it from the cache and
    need no network.

    Parameters
    ----------
    cache_dir, mirror, verify, progressbar, timeout, retries
        As in :func:`mouse_midbrain`.

    Returns
    -------
    AnnData as in :func:`mouse_midbrain`, with

    - ``obs["stage"]``: ``control`` (uninjured), then ``2DPI``, ``5DPI`` and so on, read from the
      name of the slice (``Injury_15DPI_rep4_...``).
    - ``obs["stage_time"]``: days after injury; NaN in the control, which has no time after an
      injury. Inference needs a time of every receiving cell: leave the control out.
    - Genes as published. Their names are the publisher's, so give ligands, receptors and TFs by
      these names.

    Raises
    ------
    DownloadError, ChecksumError, DataError
        As in :func:`mouse_midbrain`. Also if the name of a slice has neither a day after injury
        nor ``control``.

    References
    ----------
    Wei et al., *Science* 377, eabp9444 (2022), doi 10.1126/science.abp9444. The publisher decides
    whether and how you may use the data.

    Examples
    --------
    >>> import spatrace_sc as st
    >>> adata = st.datasets.axolotl_regeneration()  # doctest: +SKIP
    >>> injured = adata[adata.obs["stage"] != "control"].copy()  # doctest: +SKIP
    """
    transfer = _transfer(timeout, retries, progressbar)
    return _atlas("axolotl_regeneration", days_after_injury, cache_dir, mirror, verify, transfer)


def _transfer(timeout: float, retries: int, progressbar: bool | None) -> Transfer:
    """Checked options of a download; the progress bar from the settings if not given."""
    positive(timeout, "timeout", " of seconds")
    whole(retries, "retries", 0)
    shown = settings.progress if progressbar is None else bool(progressbar)
    return Transfer(timeout, retries, progressbar=shown)


def _atlas(
    name: str,
    stage: Stage,
    cache_dir: str | os.PathLike[str] | None,
    mirror: str | None,
    verify: bool,
    transfer: Transfer,
) -> AnnData:
    """Fetch the file of the registry and read it."""
    entry = registry()[name]
    path, record = fetch(
        entry,
        check=why_not_hdf5,
        cache_dir=cache_dir,
        mirror=mirror,
        verify=verify,
        transfer=transfer,
    )
    return read_published(path, entry, record, stage)


def embryonic_day(name: str) -> tuple[str, float] | None:
    """Stage and days after conception: ``E12.5`` is ``("E12.5", 12.5)``."""
    match = re.fullmatch(r"E(\d+(?:\.\d+)?)", name.strip())
    return (match[0], float(match[1])) if match else None


def days_after_injury(name: str) -> tuple[str, float] | None:
    """Stage and days after injury in the name of a slice.

    ``Injury_15DPI_rep4_...`` is ``("15DPI", 15.0)`` and ``Injury_control_...`` is
    ``("control", nan)``.
    """
    days = re.findall(r"(?:^|_)(\d+(?:\.\d+)?)DPI(?=_|$)", name, flags=re.IGNORECASE)
    control = re.search(r"(?:^|_)control(?:_|$)", name, flags=re.IGNORECASE)
    if len(days) + bool(control) != 1:
        return None
    return (f"{float(days[0]):g}DPI", float(days[0])) if days else ("control", float("nan"))
