"""Sweep: chunk sizes, models and retrievers compared like with like.

grid       what is tried
request    all that a sweep is asked for
indexes    one index for each model and chunk size, built once and kept
questions  what settings are compared by
context    what a ranking costs to read
weight     the share of the vector search in a hybrid, by dev
scoring    settings -> scores on dev and on test
bases      each model untuned and tuned
choice     the setting to recommend, and why
result     what it found
stage      all of it
"""

from rag_app.callable_stage import make_callable

make_callable(__name__)
