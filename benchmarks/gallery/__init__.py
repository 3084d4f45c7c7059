"""Every figure of :mod:`spatrace_sc.pl` on one page: ``python -m benchmarks.gallery``."""
