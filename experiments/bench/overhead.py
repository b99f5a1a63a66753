"""(a) A whole run against a bare PyTorch loop over the same forward pass, and against one over the plain Hugging Face model."""

from typing import Any

import torch
import work
from run import Ways

from prompt_lab.paradigms.pattern_tuning import PatternTuning

ABOUT = "a whole run, from settings to record, against a bare PyTorch loop of the same model, steps and batches"
AIM = 1.10
PAIRS = (("prompt_lab", "bare loop", AIM), ("prompt_lab", "bare loop, plain model", None))


def ways() -> Ways:
    """Ours, the bare loop, and a loop over the plain model with logits of the whole vocabulary at every token."""

    def ours() -> None:
        work.ours(PatternTuning)

    def bare() -> None:
        module = work.built(PatternTuning)
        work.bare(module, module.backbone, module)

    def plain_model() -> None:
        module = work.built(PatternTuning)
        words = torch.tensor([module.reader.word_ids(w[0], " ")[0] for w in module.task.label_words.values()])
        model = module.backbone.model

        def forward(batch: Any) -> torch.Tensor:
            logits = model(
                input_ids=batch.input_ids, attention_mask=batch.attention_mask, token_type_ids=batch.token_type_ids
            ).logits
            return logits[torch.arange(len(batch)), batch.slots[:, 0, 0]][:, words]

        work.bare(module, model, forward)

    return {"prompt_lab": ours, "bare loop": bare, "bare loop, plain model": plain_model}
