"""(b) Fine-tuning against the Hugging Face Trainer: same weights, examples, steps, batch size, clipping, precision."""

import tempfile
from pathlib import Path

import work
from run import Ways

from prompt_lab.paradigms.fine_tuning import FineTuning

ABOUT = "fine-tuning, from settings to record, against the Hugging Face Trainer with evaluation of the test"
AIM = 1.0


def ways() -> Ways:
    """Ours, and theirs; both log every step, validate every fifth pass and score the test."""
    folder = work.as_folder(Path(tempfile.mkdtemp()))

    def theirs() -> None:
        import torch
        from transformers import (
            AutoModelForSequenceClassification,
            AutoTokenizer,
            DataCollatorWithPadding,
            Trainer,
            TrainingArguments,
        )

        tokenizer = AutoTokenizer.from_pretrained(folder)
        model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=2)
        source = work.data()

        def rows(examples):  # type: ignore[no-untyped-def]
            read = tokenizer([e.fields["text_a"] for e in examples], truncation=True, max_length=work.MAX_LENGTH)
            return [{**{k: v[i] for k, v in read.items()}, "label": e.label} for i, e in enumerate(examples)]

        with tempfile.TemporaryDirectory() as out:
            arguments = TrainingArguments(
                out, max_steps=work.STEPS, per_device_train_batch_size=source.batch_size,
                per_device_eval_batch_size=source.eval_batch_size, learning_rate=5e-5, warmup_steps=6, max_grad_norm=work.CLIP,
                logging_steps=1, eval_strategy="steps", eval_steps=20, save_strategy="no", report_to=[], disable_tqdm=True,
                use_cpu=not torch.cuda.is_available(), seed=work.SEED,
            )  # fmt: skip
            trainer = Trainer(
                model,
                arguments,
                DataCollatorWithPadding(tokenizer),
                rows(source.drawn.train),
                rows(source.drawn.validation),
            )
            trainer.train()
            trainer.predict(rows(source.sealed_test()))

    def ours() -> None:
        work.forget()
        work.ours(FineTuning)

    return {"prompt_lab": ours, "Trainer": theirs}
