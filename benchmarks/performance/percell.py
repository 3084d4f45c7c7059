"""Runs ``run_inference.py`` of a checkout of SpaTRACE with its step per cell, for paths and heads of any number.

python percell.py CHECKOUT STEPS HEADS [arguments of run_inference.py]

Where it extracts attention per cell the script assumes paths of five steps and five heads and has no option for either, so with the values of its README for the simulation (3 and 3) it stops with an error;
and it writes one folder below the one in which it looks. Here these three defaults of its functions are set to fit; nothing else differs.
"""

import sys


def main() -> None:
    checkout, steps, heads, *arguments = sys.argv[1:]
    sys.path.insert(0, checkout)
    import run_inference as script

    script.per_cell_att_compute.__kwdefaults__["tlength"] = int(steps)
    script.per_cell_att_compute.__kwdefaults__["attn_subdir"] = ""
    script.ensure_percell_attentions.__kwdefaults__["num_heads"] = int(heads)
    sys.argv = ["run_inference.py", *arguments]
    script.main()


if __name__ == "__main__":
    main()
