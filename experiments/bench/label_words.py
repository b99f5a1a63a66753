"""(e) The rows of the label words alone against the whole vocabulary at every answer slot and at every token."""

import torch
import work
from run import Ways

from prompt_lab.data.encoded import collate, encoded
from prompt_lab.paradigms.pattern_tuning import PatternTuning

ABOUT = "20 steps with the vocabulary projection's rows of the label words alone, against the whole vocabulary at every token"
AIM = None
PAIRS = (
    ("label words' rows", "whole vocabulary, every token", None),
    ("label words' rows", "whole vocabulary, answer slots", None),
)
STEPS = 20


def ways() -> Ways:
    """Steps forward and backward over one batch; nothing is updated."""
    module = work.built(PatternTuning)
    source = work.data()
    batch = collate(encoded(module.encoder(source), source.drawn.train)[: source.batch_size], module.reader)
    words = module.answer.token_WJ[:, 0]
    model = module.backbone.model

    def steps(logits) -> None:  # type: ignore[no-untyped-def]
        for _ in range(STEPS):
            torch.nn.functional.cross_entropy(logits(), batch.label).backward()
            module.zero_grad()

    def every_token() -> torch.Tensor:
        given = {
            "input_ids": batch.input_ids,
            "attention_mask": batch.attention_mask,
            "token_type_ids": batch.token_type_ids,
        }
        return model(**given).logits[torch.arange(len(batch)), batch.slots[:, 0, 0]][:, words]

    return {
        "label words' rows": lambda: steps(lambda: module.backbone.slot_logits(batch, words)[:, 0, 0]),
        "whole vocabulary, every token": lambda: steps(every_token),
        "whole vocabulary, answer slots": lambda: steps(lambda: module.backbone.slot_logits(batch)[:, 0, 0][:, words]),
    }
