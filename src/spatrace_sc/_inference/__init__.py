"""The engine behind the verbs of ``tl``: from a study to results and back."""
