"""The batches of a pretraining run: a function of seed and step, shared by devices, without held-out and test texts."""

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from prompt_lab.backbones.load import load_reader
from prompt_lab.backbones.reader import Reader
from prompt_lab.data.reading import read
from prompt_lab.errors import LabError
from prompt_lab.pretraining.corpus import is_held_out
from prompt_lab.pretraining.data import PlainText, Steps
from prompt_lab.pretraining.left_out import write_digests
from prompt_lab.pretraining.objective import Objective
from prompt_lab.pretraining.objectives.causal_lm import CausalLm
from prompt_lab.pretraining.objectives.next_sentence import NextSentence
from prompt_lab.pretraining.objectives.token_masking import TokenMasking
from prompt_lab.pretraining.objectives.whole_word_masking import WholeWordMasking
from prompt_lab.pretraining.packing import FullSequences, Pairs
from prompt_lab.pretraining.passages import Passages
from prompt_lab.pretraining.texts import Texts
from prompt_lab.progress import Bars

from samples import reader

FILMS = ["great", "terrible", "good", "bad", "film", "movie"]


class Given(Texts):
    """Texts of a test."""

    def __init__(self, *texts: str, name: str = "given", licence: str = "CC0") -> None:
        super().__init__(licence)
        self.texts, self._name = texts, name

    @property
    def name(self) -> str:
        return self._name

    def documents(self) -> Iterator[str]:
        yield from self.texts


def texts(count: int = 60) -> list[str]:
    """Different documents of four sentences."""
    return [" ".join(f"It was {FILMS[(n + i) % 6]} number {n}." for i in range(4)) for n in range(count)]


def made(
    objectives: list[Objective] | None = None, by: Reader | None = None, source: Any = None, **how: Any
) -> PlainText:
    """Data that was read, with small passages."""
    by = by or reader("bert")
    objectives = [TokenMasking()] if objectives is None else objectives
    for objective in objectives:
        objective.prepare(by)
    data = PlainText(source or [Given(*texts())], **{"max_length": 16, "batch_size": 8, "held_out": 0.2, **how})
    data.read(by, objectives, Bars())
    return data


def on(data: PlainText, rank: int, world: int) -> PlainText:
    """As if a trainer ran it on a device."""
    data.trainer = SimpleNamespace(global_rank=rank, world_size=world)  # type: ignore[assignment]
    return data


def tensors(passages: Passages) -> list[Tensor]:
    found = [passages.input_ids, passages.original_ids, passages.attention_mask, *passages.chosen.values()]
    return found + [t for t in (passages.token_type_ids, passages.relation) if t is not None]


def same(one: Passages, other: Passages) -> bool:
    return len(one) == len(other) and all(map(torch.equal, tensors(one), tensors(other)))


OBJECTIVES = [
    pytest.param(lambda: [TokenMasking()], id="full sequences"),
    pytest.param(lambda: [NextSentence(), WholeWordMasking()], id="pairs"),
]


class TestBatches:
    @pytest.mark.parametrize("make", OBJECTIVES)
    def test_a_step_has_the_same_batch_whenever_it_is_asked_for(self, make: Any) -> None:
        one, other = made(make()), made(make())
        objectives = make()
        for objective in objectives:
            objective.prepare(reader("bert"))
        steps = [0, 1, 30, 31, 500]
        first = {step: one.batch(step, objectives) for step in steps}
        torch.manual_seed(99)
        state = torch.get_rng_state()
        later = {step: other.batch(step, objectives) for step in reversed(steps)}
        assert all(same(first[step], later[step]) for step in steps)
        assert all(same(first[step], one.batch(step, objectives)) for step in steps)
        assert torch.equal(state, torch.get_rng_state())
        assert not any(same(first[a], first[b]) for a in steps for b in steps if a < b)

    @pytest.mark.parametrize("make", OBJECTIVES)
    def test_seeds_differ(self, make: Any) -> None:
        objectives = make()
        one, other = made(objectives, seed=13), made(objectives, seed=14)
        assert not any(same(one.batch(step, objectives), other.batch(step, objectives)) for step in range(5))
        assert not same(one.held_out_batch(0, objectives), other.held_out_batch(0, objectives))

    def test_a_pass_reads_every_passage_once_and_the_next_in_another_order(self) -> None:
        data = made([])
        train = data.train
        assert train is not None
        a_pass = len(train) // 8
        assert a_pass > 10
        orders = []
        for number in (0, 1):
            batches = [data.batch(step, []) for step in range(number * a_pass, (number + 1) * a_pass)]
            assert {len(b) for b in batches} == {8}
            rows = [tuple(row) for b in batches for row in b.input_ids.tolist()]
            assert len({*rows}) == len(rows) == a_pass * 8
            orders.append(rows)
        first, second = orders
        assert len({*first} & {*second}) < len(first) / 4, "cut elsewhere"

    @pytest.mark.parametrize("size", [1, 7, 8, 9, 63])
    def test_the_number_of_passages_of_each_step(self, size: int) -> None:
        data = made([], source=[Given(*texts(10))], batch_size=size)
        train = data.train
        assert train is not None
        assert 10 < len(train) < 63
        steps = 3 * max(len(train) // size, 1)
        assert {len(data.batch(step, [])) for step in range(steps)} == {min(size, len(train))}

    def test_what_is_hidden_differs_from_step_to_step(self) -> None:
        masking = TokenMasking()
        long, out = " ".join(texts()), next(t for t in texts() if is_held_out(t, 0.2))
        data = made(
            [masking], source=[Given(long, out)], batch_size=4
        )  # without separators, so that all rows are alike
        chosen = [data.batch(step, [masking]).chosen["token_masking"] for step in range(3)]
        assert not any(torch.equal(chosen[a], chosen[b]) for a, b in ((0, 1), (0, 2), (1, 2)))
        held_out = made([masking], eval_batch_size=4, held_out=0.5)
        hidden = [held_out.held_out_batch(number, [masking]).chosen["token_masking"] for number in range(8)]
        assert len({str(one.tolist()) for one in hidden}) == 8

    @pytest.mark.parametrize("make", OBJECTIVES)
    @pytest.mark.parametrize("world", [2, 4])
    def test_devices_together_read_what_one_reads(self, make: Any, world: int) -> None:
        data, objectives = made(make()), make()
        for objective in objectives:
            objective.prepare(reader("bert"))
        for step in (0, 17):
            whole = data.batch(step, objectives)
            parts = [on(data, rank, world).batch(step, objectives) for rank in range(world)]
            data.trainer = None
            assert [len(p) for p in parts] == [8 // world] * world
            width = whole.input_ids.shape[1]
            for rank, part in enumerate(parts):
                rows = torch.nn.functional.pad(part.original_ids, (0, width - part.original_ids.shape[1]))
                assert torch.equal(rows, whole.original_ids[rank::world])
                if whole.relation is not None:
                    assert part.relation is not None
                    assert torch.equal(part.relation, whole.relation[rank::world])
            name = objectives[-1].name
            assert not torch.equal(parts[0].chosen[name], parts[1].chosen[name]), "drawn apart"

    def test_a_device_without_a_passage_reads_the_first(self) -> None:
        data = made(
            [], source=[Given(*texts(2), "It was good.", "a bad film")], batch_size=400, max_length=64, held_out=0.4
        )
        train = data.train
        assert train is not None
        assert len(train) < 4
        batches = [on(data, rank, 4).batch(0, []) for rank in range(4)]
        assert [len(b) for b in batches] == [1] * 4
        assert same(batches[3], batches[0])

    def test_several_objectives_hide_apart(self) -> None:
        objectives: list[Objective] = [WholeWordMasking(), TokenMasking()]
        batch = made(objectives).batch(0, objectives)
        one, other = batch.chosen.values()
        assert one.any()
        assert other.any()
        assert not (one & other).any()

    def test_pairs_are_made_where_they_are_asked_for(self) -> None:
        assert isinstance(made([TokenMasking()]).train, FullSequences)
        three = made([TokenMasking(), NextSentence()]).train
        assert isinstance(three, Pairs)
        assert len(three.relations) == 3
        assert made([NextSentence(ways=2)]).train.relations == ("next", "other document")  # type: ignore[union-attr]

    def test_a_causal_model_reads_on(self) -> None:
        objectives: list[Objective] = [CausalLm()]
        batch = made(objectives, load_reader("tiny-causal")).batch(0, objectives)
        assert batch.input_ids.shape == (8, 16)
        assert torch.equal(batch.input_ids, batch.original_ids)

    def test_the_tokens_to_learn_from_are_counted(self) -> None:
        data = made([])
        kept = [t for t in texts() if not is_held_out(t, 0.2)]
        by = reader("bert").tokenizer
        assert data.tokens == sum(len(by(t, add_special_tokens=False)["input_ids"]) + 1 for t in kept)

    def test_a_batch_can_be_moved(self) -> None:
        objectives: list[Objective] = [NextSentence(), TokenMasking()]
        batch = made(objectives).batch(0, objectives)
        moved = batch.to("meta")
        assert {t.device.type for t in (*tensors(moved), *moved.units.values())} == {"meta"}
        assert len(tensors(moved)) == len(tensors(batch)) == 6
        assert moved.tokens == batch.tokens


class TestHeldOut:
    def test_held_out_texts_are_never_trained_on(self) -> None:
        data = made([])
        by = reader("bert").tokenizer
        assert data.train is not None
        assert data.evaluated is not None

        def documents(packing: Any) -> set[str]:
            found, bounds = packing.corpus, packing.corpus.documents
            return {by.decode(found.ids[a : b - 1]) for a, b in pairwise(bounds)}

        expected = [{by.decode(by(t, add_special_tokens=False)["input_ids"]) for t in texts() if is_held_out(t, 0.2) == out}
                    for out in (False, True)]  # fmt: skip
        assert [documents(data.train), documents(data.evaluated)] == expected
        assert len(expected[1]) > 5

    def test_the_same_words_are_hidden_every_time(self) -> None:
        masking = TokenMasking()
        one, other = made([masking]), made([masking])
        assert same(one.held_out_batch(0, [masking]), other.held_out_batch(0, [masking]))
        assert not same(one.held_out_batch(0, [masking]), one.held_out_batch(1, [masking]))

    @pytest.mark.parametrize(("most", "size"), [(500, 4), (10, 4), (3, 4), (8, 4)])
    def test_every_held_out_passage_once_up_to_the_most(self, most: int, size: int) -> None:
        objectives: list[Objective] = [TokenMasking(), WholeWordMasking()]
        data = made(objectives, held_out_passages=most, eval_batch_size=size)
        trainer = SimpleNamespace(lightning_module=SimpleNamespace(measured=objectives), global_rank=0, world_size=1)
        data.trainer = trainer  # type: ignore[assignment]
        loaders = data.val_dataloader()
        assert len(loaders) == 2
        evaluated = data.evaluated
        assert evaluated is not None
        assert len(evaluated) > 10
        for loader, objective in zip(loaders, objectives, strict=True):
            batches = [*loader]
            assert len(batches) == len(loader)
            assert {*map(len, batches[:-1])} <= {size}
            assert all([*b.chosen] == [objective.name] for b in batches)
            rows = Counter(tuple(row) for b in batches for row in b.original_ids.tolist())
            assert len(rows) == sum(rows.values()) == min(most, len(evaluated))

    def test_nothing_held_out(self) -> None:
        few = [t for t in texts() if not is_held_out(t, 0.2)][:3]
        with pytest.raises(LabError, match=r"none of 3 documents is held out .* raise data\.held_out \(it is 0\.2\)"):
            made(source=[Given(*few)])


class TestReading:
    def test_repeated_texts_are_read_once_and_counted(self) -> None:
        data = made(
            [], source=[Given(*texts(), texts()[0]), Given(*texts()[:7], "a new film", name="more", licence="own")]
        )
        given, more = data.counts
        assert given["texts"] == "given"
        assert more["texts"] == "more"
        assert [given["licence"], more["licence"]] == ["CC0", "own"]
        assert given["documents"] + given["held_out"] == 60
        assert more["documents"] + more["held_out"] == 1
        assert [given["repeated"], more["repeated"]] == [1, 7]
        assert data.train is not None
        assert data.evaluated is not None
        assert len(data.train.corpus.documents) - 1 == given["documents"] + more["documents"]
        assert len(data.evaluated.corpus.documents) - 1 == given["held_out"] + more["held_out"]

    def test_reading_again_counts_anew(self) -> None:
        data = made([])
        before = data.counts
        data.read(reader("bert"), [], Bars())
        assert data.counts == before
        assert len(data.counts) == 1

    def test_what_is_to_be_left_out_is(self, tmp_path: Path) -> None:
        unwanted = texts()[4:9]
        write_digests(tmp_path / "digests.txt", unwanted)
        data = made([], leave_out=[str(tmp_path / "digests.txt")])
        assert data.counts[0]["left_out"] == 5
        assert data.counts[0]["documents"] + data.counts[0]["held_out"] == 55
        by = reader("bert").tokenizer
        assert data.train is not None
        assert data.evaluated is not None
        words = by.tokenize(" ".join(by.decode(p.corpus.ids) for p in (data.train, data.evaluated)))
        found = {n for n in range(60) if _within(by.tokenize(f"number {n}."), words)}
        assert found == {*range(60)} - {*range(4, 9)}

    def test_the_test_texts_of_a_task_are_left_out(self) -> None:
        tests = [e.fields["text_a"] for e in read("rotten_tomatoes", None)[0]["test"][:20]]
        data = made([], source=[Given(*texts(), *tests)], leave_out=["rotten_tomatoes"])
        assert data.counts[0]["left_out"] == 20
        assert data.counts[0]["documents"] + data.counts[0]["held_out"] == 60

    def test_all_left_out(self, tmp_path: Path) -> None:
        write_digests(tmp_path / "digests.txt", texts())
        with pytest.raises(LabError, match="there is no text to learn from: all of it was left out"):
            made([], leave_out=[str(tmp_path / "digests.txt")])

    def test_no_text_at_all(self) -> None:
        with pytest.raises(LabError, match="there is no text to learn from"):
            made([], source=[Given()])


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"batch_size": 0}, "data.batch_size must be at least 1; it was 0"),
        ({"eval_batch_size": -1}, "data.eval_batch_size must be at least 1; it was -1"),
        ({"held_out_passages": 0}, "data.held_out_passages must be at least 1; it was 0"),
        ({"max_length": 15}, "data.max_length must be at least 16 tokens; it was 15"),
        ({"held_out": 0.0}, "data.held_out is the share of documents to keep back, between 0 and 1; it was 0.0"),
        ({"held_out": 1.0}, "between 0 and 1; it was 1.0"),
        ({"leave_out": ["rotten_tomatos"]}, "unknown task 'rotten_tomatos'"),
        ({"max_length": 10_000}, "data.max_length is 10000, but 'bert' reads 512 tokens at most"),
    ],
)
def test_arguments_that_cannot_be(how: dict[str, Any], message: str) -> None:
    with pytest.raises(LabError) as error:
        made([], **how)
    assert message in str(error.value)


def test_no_sources() -> None:
    with pytest.raises(LabError, match=r"data\.texts names no texts to learn from"):
        PlainText([])


class TestTraining:
    def trained(self, begun: int = 0, world: int = 1, rank: int = 0, accumulate: int = 1, **how: Any) -> PlainText:
        data = made(**how)
        objective = TokenMasking()
        objective.prepare(reader("bert"))
        data.trainer = SimpleNamespace(  # type: ignore[assignment]
            global_rank=rank, world_size=world, max_steps=6, accumulate_grad_batches=accumulate, global_step=begun,
            lightning_module=SimpleNamespace(learnt=[objective]),
        )  # fmt: skip
        return data

    def test_a_run_that_goes_on_reads_what_it_would_have_read(self) -> None:
        whole = [*self.trained().train_dataloader()]
        rest = [*self.trained(begun=4).train_dataloader()]
        assert len(whole) == 6
        assert len(rest) == 2
        assert all(map(same, whole[4:], rest))
        assert not same(whole[0], rest[0])

    def test_steps_are_counted_in_batches(self) -> None:
        loader = self.trained(begun=4, accumulate=3).train_dataloader()
        assert len(loader) == 18
        assert len([*loader]) == 6
        assert [*Steps(2, 5)] == [2, 3, 4]
        assert Steps(2, 5)[3] == 3

    def test_devices_that_cannot_share_a_batch_evenly(self) -> None:
        with pytest.raises(
            LabError, match=r"data\.batch_size is 8, over all devices together, which 3 devices cannot share"
        ):
            self.trained(world=3).train_dataloader()
        assert {len(b) for b in self.trained(world=2, rank=1).train_dataloader()} == {4}


def _within(part: list[str], whole: list[str]) -> bool:
    return any(whole[i : i + len(part)] == part for i in range(len(whole)))
