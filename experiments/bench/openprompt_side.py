"""OpenPrompt's side of the comparison, after its own tutorial: run by its own Python; prints the seconds of training and test."""

import json
import sys
import time
from pathlib import Path

import torch
from openprompt import PromptDataLoader, PromptForClassification
from openprompt.data_utils import InputExample
from openprompt.plms import load_plm
from openprompt.prompts import ManualTemplate, ManualVerbalizer, SoftTemplate

folder, kind = Path(sys.argv[1]), sys.argv[2]
told = json.loads((folder / "told.json").read_text())
torch.set_num_threads(told["threads"])
torch.manual_seed(13)
plm, tokenizer, config, wrapper = load_plm("bert", str(folder / "backbone"))
if kind == "soft":
    template = SoftTemplate(
        model=plm,
        tokenizer=tokenizer,
        num_tokens=20,
        text='{"placeholder":"text_a"} It was {"mask"}.',
        initialize_from_vocab=True,
    )
else:
    template = ManualTemplate(tokenizer=tokenizer, text='{"placeholder":"text_a"} It was {"mask"}.')
verbalizer = ManualVerbalizer(tokenizer, num_classes=len(told["words"]), label_words=[[word] for word in told["words"]])
model = PromptForClassification(plm=plm, template=template, verbalizer=verbalizer, freeze_plm=kind == "soft")


def loader(name, batch_size, shuffle):
    """Batches of a split."""
    examples = [InputExample(guid=i, text_a=text, label=label) for i, (text, label) in enumerate(told["texts"][name])]
    return PromptDataLoader(
        dataset=examples, template=template, tokenizer=tokenizer, tokenizer_wrapper_class=wrapper, max_seq_length=told["max_length"],
        decoder_max_length=3, batch_size=batch_size, shuffle=shuffle, teacher_forcing=False, predict_eos_token=False,
        truncate_method="tail",
    )  # fmt: skip


start = time.perf_counter()
train, validation, test = (
    loader(name, told["batch_size" if name == "train" else "eval_batch_size"], name == "train")
    for name in told["texts"]
)
moving = [p for p in (template if kind == "soft" else model).parameters() if p.requires_grad]
optimizer = torch.optim.AdamW(moving, lr=5e-5)
loss_of = torch.nn.CrossEntropyLoss()
done, epoch = 0, 0


def score(batches):
    """All batches, without gradients."""
    model.eval()
    with torch.no_grad():
        for inputs in batches:
            model(inputs)


while done < told["steps"]:
    model.train(kind != "soft")
    for inputs in train:
        if done == told["steps"]:
            break
        loss = loss_of(model(inputs), inputs["label"])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(moving, told["clip"])
        optimizer.step()
        optimizer.zero_grad()
        done += 1
    epoch += 1
    if epoch % 5 == 0:
        score(validation)
score(test)
score(validation)
print(time.perf_counter() - start)
