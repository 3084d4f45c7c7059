"""Evidence for edges: refits against decoys, corrected effects and comparisons with rivals."""
