"""Run ``run_inference.py`` of a SpaTRACE checkout with its step per cell, for any path and heads.

python percell.py CHECKOUT STEPS HEADS [arguments of run_inference.py]

For attention per cell the script assumes paths of five steps and five heads, without an option for
either. With the values of its README for the simulation (3 and 3) it stops with an error. It also
writes to a folder below the one that it reads. This program sets these three defaults of its
functions and changes nothing else.
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
