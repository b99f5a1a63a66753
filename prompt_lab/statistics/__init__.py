"""What can be concluded from scores: arrays in, small dataclasses out. Nothing here knows of records, files or models.

Letters of shapes: S seeds, N test items, M methods, T tasks, C classes, R resamples, X combinations (runs, cells, items left out).
"""
