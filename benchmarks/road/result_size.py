"""Size of a result in a file, by slot, plain and compressed.

python -m benchmarks.road.result_size [--tissue simulated embryo embryo_all] [--pairs 200 50]

"embryo" is the somite lineage of the mouse embryos (Lohoff et al. 2022), to which all types send;
in "embryo_all" all types receive as well. ``--pairs`` are values of ``Config(max_activity=...)``.
Files are written by ``write_h5ad``, without and with ``compression="gzip"``, without the data.
"""

from __future__ import annotations

import argparse
import tempfile
import warnings
from collections import Counter
from pathlib import Path

import h5py
import scanpy as sc
from anndata import AnnData
from benchmarks._data import gene_list
from benchmarks._scores import machine
from benchmarks.worlds.tissues_atlas import SOMITE, embryo_cells, known_pairs

import spatrace_sc as st

#: Slots that the table shows; the others are summed up.
N_SHOWN = 8


def simulated(config: st.Config) -> AnnData:
    """Return a simulated tissue with a result."""
    adata = st.datasets.simulated(910)
    st.tl.infer_ccc(adata, sample_key="sample", stage_key="stage", config=config)
    return adata


def embryo(config: st.Config, receivers: tuple[str, ...] | None = SOMITE) -> AnnData:
    """Return the mouse embryos with a result."""
    adata = embryo_cells()
    sc.pp.normalize_total(adata, target_sum=1e4)
    sc.pp.log1p(adata)
    pairs = known_pairs("mouseconsensus", adata.var_names)
    roles = {f"{role}s": sorted(set(pairs[role])) for role in ("ligand", "receptor")}
    st.pp.gene_roles(adata, **roles, tfs=gene_list("gene_lists", "mouse_tfs.txt"))
    st.pp.transitions(adata, root="NMP", cell_type_key="cell_type", sample_key="sample")
    st.tl.infer_ccc(adata, sample_key="sample", receivers=receivers, config=config)
    return adata


def embryo_all(config: st.Config) -> AnnData:
    """Return the mouse embryos with a result of all types."""
    return embryo(config, None)


TISSUES = {f.__name__: f for f in (simulated, embryo, embryo_all)}


def sizes(adata: AnnData, compression: str | None) -> Counter[str]:
    """Return the MB of every slot of the result in a file."""
    alone = AnnData(obs=adata.obs[[]], uns={"spatrace": adata.uns["spatrace"]})
    for slot in ("obsm", "obsp"):
        for name in getattr(adata, slot):
            if name.startswith("spatrace"):
                getattr(alone, slot)[name] = getattr(adata, slot)[name]
    found: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "result.h5ad"
        alone.write_h5ad(path, compression=compression)

        def add(name: str, item: object) -> None:
            if isinstance(item, h5py.Dataset):
                parts = name.split("/")
                found["/".join(parts[: 3 if parts[0] == "uns" else 2])] += (
                    item.id.get_storage_size() / 1e6
                )

        with h5py.File(path) as file:
            file.visititems(add)
        found["the whole file"] = path.stat().st_size / 1e6
    return found


def main() -> None:
    """Print a table for every tissue and number of pairs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tissue", nargs="+", choices=TISSUES, default=["simulated"])
    parser.add_argument("--pairs", type=int, nargs="+", default=[200, 50])
    arguments = parser.parse_args()
    print(machine())
    st.settings.progress = False
    warnings.simplefilter("ignore", st.SpatraceWarning)
    for tissue in arguments.tissue:
        for n in arguments.pairs:
            adata = TISSUES[tissue](st.Config(max_activity=n))
            plain, packed = sizes(adata, None), sizes(adata, "gzip")
            print(f"\n{tissue}, {adata.n_obs} cells, max_activity={n}\n")
            print("| slot | MB | MB with gzip |\n|---|---|---|")
            for name, size in plain.most_common(N_SHOWN + 1):
                print(f"| {name} | {size:.1f} | {packed[name]:.1f} |")


if __name__ == "__main__":
    main()
