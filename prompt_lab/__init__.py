"""Compare every way of prompting or tuning a pretrained language model with few labels.

Tensors carry their shape as a suffix (``scores_BC``). One legend for the whole package:

==  =====================================================================
B   batch: examples
G   rows an example is laid out as (one, unless label words differ in length)
T   tokens of a row
S   tokens of a decoder row
N   answer slots of a row
D   hidden size
V   vocabulary; U a few rows of it
C   classes
W   label words
P   prompt vectors
L   layers
R   replicas (seeds trained side by side)
==  =====================================================================
"""

__version__ = "0.1.0"
