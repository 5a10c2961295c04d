"""Stage: documents -> an index in line with them."""
