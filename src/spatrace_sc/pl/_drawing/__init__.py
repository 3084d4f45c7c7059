"""What figures share: axes, labels, colours, marks of significance, arrows and map panels."""
