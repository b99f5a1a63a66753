"""(g) bfloat16 mixed precision against float32."""

import work
from run import Ways

from prompt_lab.paradigms.pattern_tuning import PatternTuning

ABOUT = "a whole run in bfloat16 mixed precision against one in float32"
AIM = None


def ways() -> Ways:
    """A run in each."""
    return {
        "bf16-mixed": lambda: work.ours(PatternTuning, {"precision": "bf16-mixed"}) and None,
        "float32": lambda: work.ours(PatternTuning) and None,
    }
