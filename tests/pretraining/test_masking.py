"""What masking chooses and what becomes of it: its statistics on real text, words and mentions that are never cut, its loss."""

import copy
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers as hf
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken

from prompt_lab.backbones.kinds import MaskedReader
from prompt_lab.backbones.load import load_backbone, load_reader
from prompt_lab.backbones.reader import Reader
from prompt_lab.backbones.tiny import word_piece
from prompt_lab.data.reading import read
from prompt_lab.errors import LabError
from prompt_lab.masking import NO_UNIT, choose
from prompt_lab.pretraining.corpus import Corpus, corpus
from prompt_lab.pretraining.masking import Masking
from prompt_lab.pretraining.objective import Objective
from prompt_lab.pretraining.objectives.causal_lm import CausalLm
from prompt_lab.pretraining.objectives.entity_masking import EntityMasking, recognised
from prompt_lab.pretraining.objectives.next_sentence import NextSentence
from prompt_lab.pretraining.objectives.token_masking import TokenMasking
from prompt_lab.pretraining.objectives.whole_word_masking import WholeWordMasking
from prompt_lab.pretraining.packing import FullSequences
from prompt_lab.pretraining.passages import Passages

from samples import config, reader, tokenizer

TOKEN, WORD, ENTITY = "token_masking", "whole_word_masking", "entity_masking"
SIGMAS = 4.0
"""How many standard errors a measured share may be off: chance alone would pass them once in 16,000 times."""
RATES = (0.15, 0.05, 0.4)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def off(count: float, of: float, share: float) -> float:
    """How many standard errors a count of independent draws is off."""
    return abs(count - of * share) / (of * share * (1 - share)) ** 0.5


def chi_squared_off(counts: np.ndarray, expected: np.ndarray, share: float = 0.0) -> float:
    """How many standard deviations Pearson's statistic is off, for cells that are drawn with that share."""
    statistic = float((((counts - expected) ** 2) / (expected * (1 - share))).sum())
    return (statistic - len(counts)) / (2 * len(counts)) ** 0.5


def units_of(text: str, objective: Objective, by: Reader) -> list[str]:
    """The tokens of each unit of a text, joined; tokens without a unit are left out."""
    objective.prepare(by)
    found = corpus([text], by, [objective])
    tokens = by.tokenizer.convert_ids_to_tokens(found.ids.tolist())
    units = found.units[objective.name].tolist()
    order = [u for u in dict.fromkeys(units) if u != NO_UNIT]
    return ["".join(t for t, u in zip(tokens, units, strict=True) if u == unit) for unit in order]


def bert_for(*texts: str) -> Reader:
    """A BERT reader that knows the words of these texts."""
    made = word_piece(texts)
    return MaskedReader(made, hf.BertConfig(vocab_size=len(made)), "own")


# ---------------------------------------------------------------- on real text


class Sample:
    """Every passage of bbc_news's training texts in MiniLM's tokens, not cut where documents begin."""

    def __init__(self) -> None:
        self.reader = load_reader("minilm")
        self.objectives = {o.name: o for o in (TokenMasking(), WholeWordMasking(), EntityMasking())}
        for objective in self.objectives.values():
            objective.prepare(self.reader)
        texts = [e.fields["text_a"] for e in read("bbc_news", None)[0]["train"]]
        self.corpus: Corpus = corpus(texts, self.reader, [*self.objectives.values()])
        self.packing = FullSequences(self.corpus, self.reader, 128)
        self.shift = 61
        self.passages = self.packing.passages(range(0, len(self.packing), 2), self.shift)
        self.special = torch.tensor(self.reader.tokenizer.all_special_ids)
        tokens = self.reader.tokenizer.convert_ids_to_tokens(list(range(len(self.reader.tokenizer))))
        self.continues = torch.tensor([t.startswith("##") for t in tokens])
        """By token id: whether it goes on with the word before it."""

    def hidden(self, name: str, seed: int = 0, **settings: float) -> tuple[Passages, torch.Tensor]:
        """The passages after a masking with these settings, and what it chose."""
        objective = type(self.objectives[name])(**settings)
        objective.prepare(self.reader)
        passages = objective.hide(self.passages, generator(seed))
        return passages, passages.chosen[name]


@pytest.fixture(scope="module")
def sample() -> Sample:
    return Sample()


def test_the_sample_is_large(sample: Sample) -> None:
    assert len(sample.passages) > 2900
    assert sample.passages.tokens == 128 * len(sample.passages)
    assert sample.continues[sample.passages.original_ids].float().mean() > 0.05, "words of several pieces"


class TestStatistics:
    @pytest.mark.parametrize("rate", RATES)
    def test_token_masking_chooses_its_rate_of_every_passage(self, sample: Sample, rate: float) -> None:
        _, chosen = sample.hidden(TOKEN, rate=rate)
        wanted = rate * (sample.passages.units[TOKEN] != NO_UNIT).sum(1)
        assert (chosen.sum(1) - wanted).abs().max() < 1, "rounded up or down"
        part = wanted % 1
        assert abs(float(chosen.sum() - wanted.sum())) < SIGMAS * float((part * (1 - part)).sum().sqrt())

    @pytest.mark.parametrize("rate", RATES)
    @pytest.mark.parametrize("name", [WORD, ENTITY])
    def test_whole_units_hold_the_rate_on_average(self, sample: Sample, name: str, rate: float) -> None:
        _, chosen = sample.hidden(name, rate=rate)
        found = sample.passages.units[name] != NO_UNIT
        more = (chosen.sum(1) - rate * found.sum(1)).double()
        assert more.abs().max() > 1, "a unit that crosses the share is in or out as a whole"
        assert abs(float(more.mean())) < SIGMAS * float(more.std()) / len(more) ** 0.5

    @pytest.mark.parametrize("name", [TOKEN, WORD])
    def test_four_fifths_are_masked_and_a_tenth_each_random_and_unchanged(self, sample: Sample, name: str) -> None:
        passages, chosen = sample.hidden(name)
        before, after = passages.original_ids[chosen], passages.input_ids[chosen]
        mask = sample.reader.mask_id
        same = 1 / (len(sample.reader.tokenizer) - len(sample.special))  # a random token may be the one that was there
        assert off(int((after == mask).sum()), len(after), 0.8) < SIGMAS
        assert off(int(((after != mask) & (after != before)).sum()), len(after), 0.1 * (1 - same)) < SIGMAS
        assert off(int((after == before).sum()), len(after), 0.1 * (1 + same)) < SIGMAS

    @pytest.mark.parametrize(("masked", "random"), [(1.0, 0.0), (0.0, 1.0), (0.0, 0.0), (0.5, 0.25)])
    def test_other_shares_of_what_becomes_of_them(self, sample: Sample, masked: float, random: float) -> None:
        passages, chosen = sample.hidden(TOKEN, masked=masked, random=random)
        before, after = passages.original_ids[chosen], passages.input_ids[chosen]
        mask = int((after == sample.reader.mask_id).sum())
        same = int((after == before).sum())
        margin = SIGMAS * len(after) ** 0.5 / 2
        assert abs(mask - masked * len(after)) <= margin * (masked % 1 > 0)
        assert abs(same - (1 - masked - random) * len(after)) <= margin * (random > 0)
        assert random < 1 or same < 20, "a random token is hardly ever the one that was there"

    def test_nothing_but_what_was_chosen_is_changed(self, sample: Sample) -> None:
        for name in (TOKEN, WORD, ENTITY):
            passages, chosen = sample.hidden(name)
            assert torch.equal(passages.original_ids, sample.passages.input_ids)
            assert torch.equal(passages.input_ids[~chosen], passages.original_ids[~chosen])

    def test_random_tokens_are_spread_over_the_ordinary_vocabulary(self, sample: Sample) -> None:
        passages, chosen = sample.hidden(TOKEN, masked=0.0, random=1.0)
        drawn = passages.input_ids[chosen]
        assert not torch.isin(drawn, sample.special).any()
        everything = torch.arange(len(sample.reader.tokenizer))
        ordinary = everything[~torch.isin(everything, sample.special)]
        rank = torch.searchsorted(ordinary, drawn)
        counts = torch.bincount(rank * 200 // len(ordinary), minlength=200).double().numpy()
        width = torch.bincount(torch.arange(len(ordinary)) * 200 // len(ordinary)).double().numpy()
        assert abs(chi_squared_off(counts, len(drawn) * width / len(ordinary))) < SIGMAS

    def test_no_special_token_is_ever_chosen(self, sample: Sample) -> None:
        special = torch.isin(sample.passages.original_ids, sample.special)
        inside = special[:, 1:-1].sum()
        assert inside > 500, "separators between documents"
        assert special[:, 0].all()
        assert special[:, -1].all()
        assert torch.equal(sample.passages.units[TOKEN] == NO_UNIT, special)
        for name in (TOKEN, WORD, ENTITY):
            _, chosen = sample.hidden(name, rate=0.9)
            assert chosen.any()
            assert not (chosen & special).any()

    @pytest.mark.parametrize("name", [TOKEN, WORD])
    def test_every_position_is_equally_likely(self, sample: Sample, name: str) -> None:
        _, chosen = sample.hidden(name, seed=1)
        may_be = (sample.passages.units[name] != NO_UNIT).sum(0)[1:-1].double().numpy()
        counts = chosen.sum(0)[1:-1].double().numpy()
        assert abs(chi_squared_off(counts, may_be * 0.15, 0.15)) < SIGMAS


class TestWholeWords:
    def test_no_word_is_chosen_in_part(self, sample: Sample) -> None:
        _, chosen = sample.hidden(WORD)
        inside = sample.continues[sample.passages.original_ids[:, 1:]]
        pairs = torch.stack([chosen[:, :-1][inside], chosen[:, 1:][inside]])
        assert pairs.any(0).sum() > 2500
        assert torch.equal(pairs[0], pairs[1])

    def test_token_masking_does_cut_words(self, sample: Sample) -> None:
        _, chosen = sample.hidden(TOKEN)
        inside = sample.continues[sample.passages.original_ids[:, 1:]]
        assert not torch.equal(chosen[:, :-1][inside], chosen[:, 1:][inside])

    def test_a_word_that_the_passage_cuts_is_not_chosen(self, sample: Sample) -> None:
        _, chosen = sample.hidden(WORD, rate=0.9)
        room, whole = 126, sample.continues[sample.corpus.ids.astype(np.int64)]
        lefts = rights = 0
        for row, number in enumerate(range(0, len(sample.packing), 2)):
            start = number * room + sample.shift
            text = chosen[row, 1:-1]
            if whole[start]:
                lefts += 1
                assert not text[: int((~whole[start : start + room]).nonzero()[0])].any()
            if whole[start + room]:
                rights += 1
                begin = int((~whole[start : start + room]).nonzero()[-1])
                assert not text[begin:].any()
        assert min(lefts, rights) > 100

    def test_all_other_words_may_be_chosen(self, sample: Sample) -> None:
        free = sample.passages.units[WORD] != NO_UNIT
        free[:, :8] |= torch.isin(sample.passages.original_ids[:, :8], sample.special)
        special = torch.isin(sample.passages.original_ids, sample.special)
        assert (free | special)[:, 10:-10].all(), "only words at the edges have no unit"

    @pytest.mark.parametrize("family", ["roberta", "xlmr", "deberta"])
    def test_words_of_tokenizers_that_mark_the_blank_before(self, family: str) -> None:
        found = units_of("It was great, the  film\nAll terrible-bad 满意 movie!", WholeWordMasking(), reader(family))
        words = [w.lstrip("Ġ▁") for w in found]
        if family == "roberta":
            marks = ["", "Ċ"]  # the second of two blanks, and the line break, are words of their own
            chinese = tokenizer(family).tokenize("满意")
            assert [w for w in words if w not in marks] == [
                "It", "was", "great", ",", "the", "film", "All", "terrible", "-", "bad", "".join(chinese), "movie", "!",
            ]  # fmt: skip
        else:  # sentencepiece's words are what blanks separate
            assert words == ["It", "was", "great,", "the", "film", "All", "terrible-bad", "满意", "movie!"]


def test_special_tokens_that_have_no_role_are_never_drawn() -> None:
    made = copy.deepcopy(tokenizer("bert"))
    made.add_tokens([AddedToken("<own>", special=True)], special_tokens=True)
    sizes = config("bert").to_dict() | {"vocab_size": len(made)}
    masking = TokenMasking(masked=0.0, random=1.0)
    masking.prepare(MaskedReader(made, hf.BertConfig(**sizes), "own"))
    assert made.convert_tokens_to_ids("<own>") not in masking.hiding.ordinary
    assert masking.hiding.ordinary.tolist() == list(range(len(tokenizer("bert"))))[5:]


def test_the_vocabulary_of_the_model_bounds_random_tokens() -> None:
    masking = TokenMasking()
    masking.prepare(MaskedReader(tokenizer("bert"), hf.BertConfig(vocab_size=40), "small"))
    assert masking.hiding.ordinary.tolist() == list(range(5, 40))


# ---------------------------------------------------------------- choosing units

layouts = st.lists(st.tuples(st.integers(1, 6), st.booleans(), st.booleans()), min_size=1, max_size=30)
"""Runs of tokens: how many, whether they are a unit, whether one of them is taken."""
rates = st.floats(0.01, 0.99)


def laid(layout: list[tuple[int, bool, bool]], length: int) -> tuple[list[int], list[bool]]:
    """Unit and taken of each token, padded."""
    units, taken = [], []
    for number, (size, is_unit, is_taken) in enumerate(layout):
        units += [number if is_unit else NO_UNIT] * size
        taken += [*[False] * (size - 1), is_taken]
    return units + [NO_UNIT] * (length - len(units)), taken + [False] * (length - len(taken))


class TestChoose:
    @settings(derandomize=True, max_examples=150, deadline=None)
    @given(st.lists(layouts, min_size=1, max_size=4), rates, st.integers(0, 2**31))
    def test_whole_free_units_and_as_many_as_the_rate_says(
        self, rows: list[list[tuple[int, bool, bool]]], rate: float, seed: int
    ) -> None:
        length = max(sum(size for size, _, _ in row) for row in rows)
        made = [laid(row, length) for row in rows]
        units, taken = torch.tensor([u for u, _ in made]), torch.tensor([t for _, t in made])
        before = units.clone(), taken.clone()
        chosen = choose(units, taken, rate, generator(seed))
        assert torch.equal(units, before[0])
        assert torch.equal(taken, before[1])
        assert not (chosen & (taken | (units == NO_UNIT))).any()
        for layout, unit, found in zip(rows, units, chosen, strict=True):
            free = [(n, size) for n, (size, is_unit, is_taken) in enumerate(layout) if is_unit and not is_taken]
            whole = [bool(found[unit == n].all()) for n, _ in free]
            assert whole == [bool(found[unit == n].any()) for n, _ in free], "in part"
            wanted = rate * int((unit != NO_UNIT).sum())
            count, largest = int(found.sum()), max((size for _, size in free), default=0)
            assert count < wanted + largest or count == 0
            assert all(whole) or count > wanted - largest - 1e-4

    @settings(derandomize=True, max_examples=25, deadline=None)
    @given(layouts, rates, st.integers(0, 2**31))
    def test_the_share_is_kept_on_average(self, layout: list[tuple[int, bool, bool]], rate: float, seed: int) -> None:
        free = [(size, is_unit, False) for size, is_unit, _ in layout]
        units, taken = laid(free, sum(size for size, _, _ in free))
        rows = 2000
        chosen = choose(torch.tensor([units] * rows), torch.tensor([taken] * rows), rate, generator(seed))
        counts = chosen.sum(1).double()
        wanted = rate * sum(u != NO_UNIT for u in units)
        largest = max(size for size, _, _ in free)
        at_most = largest / 2  # the standard deviation of what is cut off or added at the share
        assert abs(float(counts.mean()) - wanted) < SIGMAS * at_most / rows**0.5

    @pytest.mark.parametrize("sizes", [[2] * 10, [4], [7, 1], [3, 3, 3], [1] * 5, [6, 2, 1, 1]])
    @pytest.mark.parametrize("rate", [0.15, 0.5])
    def test_the_share_is_kept_whatever_the_sizes(self, sizes: list[int], rate: float) -> None:
        units = torch.tensor([n for n, size in enumerate(sizes) for _ in range(size)]).expand(20000, -1)
        counts = choose(units, torch.zeros_like(units, dtype=torch.bool), rate, generator()).sum(1).double()
        assert abs(float(counts.mean()) - rate * sum(sizes)) <= SIGMAS * float(counts.std()) / 20000**0.5

    def test_units_of_a_size_are_equally_likely(self) -> None:
        units = torch.arange(12).repeat_interleave(2).expand(20000, -1)
        chosen = choose(units, torch.zeros_like(units, dtype=torch.bool), 0.25, generator())[:, ::2]
        assert abs(chi_squared_off(chosen.sum(0).double().numpy(), np.full(12, 5000.0), 0.25)) < SIGMAS

    def test_a_row_without_units_and_a_row_that_is_taken(self) -> None:
        units = torch.tensor([[-1] * 6, [0, 0, 1, 2, 2, 2], [-1, -1, 4, 4, -1, -1]])
        taken = torch.tensor([[False] * 6, [True] * 6, [False, True, False, False, True, False]])
        chosen = choose(units, taken, 0.99, generator())
        assert chosen.tolist() == [[False] * 6, [False] * 6, [False, False, True, True, False, False]]
        assert not choose(units[:1], taken[:1], 0.99, generator()).any()

    @pytest.mark.parametrize(("rate", "expected"), [(1e-6, 0), (1 - 1e-6, 400)])
    def test_the_extremes_of_the_rate(self, rate: float, expected: int) -> None:
        units = torch.arange(40).repeat_interleave(2).expand(5, -1)
        assert int(choose(units, torch.zeros_like(units, dtype=torch.bool), rate, generator()).sum()) == expected

    def test_the_same_draws_for_the_same_generator(self) -> None:
        units = torch.arange(100).expand(3, -1)
        taken = torch.zeros_like(units, dtype=torch.bool)
        one, same, other = (choose(units, taken, 0.15, generator(seed)) for seed in (0, 0, 1))
        assert torch.equal(one, same)
        assert not torch.equal(one, other)
        assert not torch.equal(one[0], one[1]), "rows are drawn apart"


# ---------------------------------------------------------------- several at once


@pytest.mark.parametrize("names", [(ENTITY, WORD), (TOKEN, WORD), (WORD, TOKEN), (ENTITY, TOKEN)])
def test_two_maskings_choose_disjoint_tokens(sample: Sample, names: tuple[str, str]) -> None:
    passages, draws = sample.passages, generator()
    for name in names:
        passages = sample.objectives[name].hide(passages, draws)
    first, second = (passages.chosen[name] for name in names)
    alone = sample.objectives[names[0]].hide(sample.passages, generator())
    assert torch.equal(first, alone.chosen[names[0]])
    assert torch.equal(passages.input_ids[first], alone.input_ids[first]), "what the first has hidden stays"
    assert not (first & second).any()
    assert torch.equal(passages.input_ids[~(first | second)], passages.original_ids[~(first | second)])
    share = float(second.sum() / (passages.units[names[1]] != NO_UNIT).sum())
    assert share == pytest.approx(0.15, rel=0.02), "of all its tokens, beside what the other has taken"
    cut = sample.continues[passages.original_ids[:, 1:]]
    if names[1] == WORD:
        assert torch.equal(second[:, :-1][cut], second[:, 1:][cut])


def test_mentions_are_chosen_as_wholes_and_nothing_else(sample: Sample) -> None:
    _, chosen = sample.hidden(ENTITY, rate=0.5)
    units = sample.passages.units[ENTITY]
    assert not chosen[units == NO_UNIT].any()
    same = (units[:, 1:] == units[:, :-1]) & (units[:, 1:] != NO_UNIT)
    assert (same & chosen[:, 1:]).sum() > 5000
    assert torch.equal(chosen[:, 1:][same], chosen[:, :-1][same])


# ---------------------------------------------------------------- mentions of entities


class TestRecognised:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("He met Tony Blair in Paris.", ["Tony Blair", "Paris"]),
            ("shares of the Bank of England fell", ["Bank of England"]),
            ("it is the House of the Rising Sun", ["House of the Rising Sun"]),
            ("he left the of and for it", []),
            ("The plan failed. Nobody knew. But Rome did", ["But Rome"]),
            ("The plan failed! Nobody: Never (None) \"Nothing\" “No” ‘Never’ 'Not'\nNor", []),
            ("Tony Blair left", ["Tony Blair"]),
            ("then I left, as I'm told, and I’ve said that I", []),
            ("it was Britain's Tony Blair’s plan", ["Britain", "Tony Blair"]),
            ("with Jean-Paul O'Neil of I.B.M. and AT", ["Jean-Paul O'Neil of I.B.M", "AT"]),
            ("says Élan of école, über Ärger, the Москва и река", ["Élan", "Ärger", "Москва"]),
            ("by the end of May", ["May"]),
            ("他在北京大学学习。我喜欢iPhone手机和NBA", ["NBA"]),
            ("a 3M deal with eBay in 1999", []),
            ("", []),
        ],
    )
    def test_runs_of_capitalised_words(self, text: str, expected: list[str]) -> None:
        assert [text[start:end] for start, end in recognised(text)] == expected

    def test_a_long_text_takes_no_longer_a_word(self) -> None:
        text = "in Rome " * 100_000  # minutes, if every mention looked through all that stands before it
        assert sum(1 for _ in recognised(text)) == 100_000


def listing(folder: Path, text: str) -> EntityMasking:
    path = folder / "entities.txt"
    path.write_text(text, encoding="utf-8")
    return EntityMasking(entities=str(path))


class TestListed:
    @pytest.mark.parametrize(
        ("entities", "text", "expected"),
        [
            ("new york\nnew york times\nyork", "the New York Times of YORK", ["newyorktimes", "york"]),
            ("new york city hall\nyork", "in new york city", ["york"]),
            ("york", "a yorkshire man, from new-york", []),
            ("york", "York's in York", ["york", "york"]),
            ("mcdonald's", "at McDonald's again", ["mcdonald's"]),
            ("u.s.\nyahoo!", "in the U.S. by Yahoo! yahoo", ["u.s.", "yahoo!"]),
            ("new york", "New, York. new\nYork new  york", ["newyork", "newyork"]),
            ("rome", "rome", ["rome"]),
            ("rome\n\n  \n---", "rome -- rome ---", ["rome", "rome"]),
            ("北京\n北京大学\n大学", "在北京大学和北京，大学生", ["北京大学", "北京", "大学"]),
            ("北京大学", "北京，大学", []),
            ("nba\n2008年", "在NBA打球，2008年NBA", ["nba", "2008年", "nba"]),
            ("iphone手机", "买iPhone手机", ["iphone手机"]),
        ],
    )
    def test_the_longest_at_each_place_in_whole_words(
        self, tmp_path: Path, entities: str, text: str, expected: list[str]
    ) -> None:
        found = units_of(text, listing(tmp_path, entities), bert_for(text, entities))
        assert [one.replace("##", "") for one in found] == expected

    @pytest.mark.parametrize("family", ["roberta", "xlmr", "deberta"])
    def test_a_mention_has_the_blank_that_its_first_token_stands_for(self, tmp_path: Path, family: str) -> None:
        text = "It was Gmelin Gmo, the terrible Film was\nGmelin Gmo"
        found = units_of(text, listing(tmp_path, "gmelin gmo\nfilm"), reader(family))
        blank = "Ġ" if family == "roberta" else "▁"
        start = "" if family == "roberta" else "▁"  # after a line break
        assert found == [f"{blank}Gmelin{blank}Gmo", f"{blank}Film", f"{start}Gmelin{blank}Gmo"]

    def test_a_mention_with_an_unknown_token_is_none(self, tmp_path: Path) -> None:
        masking = listing(tmp_path, "rome \U0001f600 rome")
        assert units_of("in rome \U0001f600 rome", masking, bert_for("in rome")) == []
        assert units_of("in rome \U0001f600 rome", masking, bert_for("in rome \U0001f600")) == ["rome\U0001f600rome"]

    def test_a_mention_that_ends_inside_a_token_is_none(self, tmp_path: Path) -> None:
        text = "满意好满意"
        masking = listing(tmp_path, "意好\n满意")
        assert units_of(text, masking, bert_for(text)) == ["满意", "满意"]
        whole = bert_for(text)
        joined = {**whole.tokenizer.get_vocab(), "好满意": len(whole.tokenizer)}
        made = hf.XLMRobertaTokenizer(
            vocab=[("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -3.0)]
            + [(t, -9.0 if len(t) == 1 else -1.0) for t in joined if not t.isascii()]
            + [("<mask>", 0.0)]
        )
        assert made.tokenize(text) == ["▁", "满", "意", "好满意"]
        assert units_of(text, masking, MaskedReader(made, config("xlmr"), "joined")) == ["▁满意"]
        masking = listing(tmp_path, "意好")
        assert units_of(text, masking, bert_for(text)) == ["意好"]
        assert units_of(text, masking, MaskedReader(made, config("xlmr"), "joined")) == [], "not its first half alone"

    def test_what_cannot_be_read(self, tmp_path: Path) -> None:
        for text, problem in ((b"", "names none"), (b"--\n", "names none"), (b"\xff", "cannot be read")):
            (tmp_path / "e.txt").write_bytes(text)
            with pytest.raises(LabError, match=problem):
                EntityMasking(entities=str(tmp_path / "e.txt"))
        with pytest.raises(LabError, match=r"the list of entities .*missing\.txt cannot be read"):
            EntityMasking(entities=str(tmp_path / "missing.txt"))


# ---------------------------------------------------------------- Chinese words

CHINESE = "我喜欢北京大学。"


@pytest.fixture
def no_jieba(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(sys.modules, "jieba", None)
    return


class TestChinese:
    @pytest.mark.parametrize("segmenter", ["auto", "jieba"])
    def test_words(self, segmenter: Any) -> None:
        assert units_of(CHINESE, WholeWordMasking(segmenter=segmenter), bert_for(CHINESE)) == [
            "我", "喜欢", "北京大学", "。",
        ]  # fmt: skip

    def test_characters(self) -> None:
        assert units_of(CHINESE, WholeWordMasking(segmenter="tokenizer"), bert_for(CHINESE)) == [*CHINESE]

    @pytest.mark.parametrize("segmenter", ["auto", "jieba"])
    def test_other_words_are_the_tokenizers(self, segmenter: Any) -> None:
        by = bert_for("caf unaff iphone", CHINESE, "和")
        text = "北京café和iPhone unaffable 3.14"
        expected = ["北京", "caf##e", "和", "iphone", "unaff##a##b##l##e", "3", ".", "1##4"]
        assert units_of(text, WholeWordMasking(segmenter=segmenter), by) == expected

    def test_the_blank_of_sentencepiece(self) -> None:
        assert units_of("满意 满意。", WholeWordMasking(), reader("xlmr")) == ["▁满意", "▁满意", "。"]

    def test_a_word_with_an_unknown_character_is_never_chosen(self) -> None:
        by = bert_for("我喜欢大学。")
        assert units_of(CHINESE, WholeWordMasking(), by) == ["我", "喜欢", "。"]
        assert units_of(CHINESE, WholeWordMasking(segmenter="tokenizer"), by) == [*"我喜欢大学。"]

    def test_english_needs_no_segmenter(self, no_jieba: None) -> None:
        assert units_of("unaffable me", WholeWordMasking(), bert_for("unaff me")) == ["unaff##a##b##l##e", "me"]

    def test_without_jieba_auto_warns_and_reads_characters(self, no_jieba: None) -> None:
        with pytest.warns(UserWarning, match="every Chinese character is taken for a word; pip install jieba"):
            assert units_of(CHINESE, WholeWordMasking(), bert_for(CHINESE)) == [*CHINESE]

    def test_without_jieba_jieba_is_refused_at_once(self, no_jieba: None) -> None:
        with pytest.raises(LabError, match="segmenter: jieba needs the package jieba"):
            WholeWordMasking(segmenter="jieba").prepare(reader("bert"))
        WholeWordMasking(segmenter="tokenizer").prepare(reader("bert"))

    def test_an_objective_can_be_copied(self) -> None:
        masking = WholeWordMasking()
        masking.prepare(reader("bert"))
        assert units_of(CHINESE, copy.deepcopy(masking), bert_for(CHINESE))[2] == "北京大学"


# ---------------------------------------------------------------- settings and losses


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TokenMasking(rate=0.0), "rate is the share of tokens to choose, above 0 and below 1; it was 0.0"),
        (lambda: TokenMasking(rate=1.0), "it was 1.0"),
        (lambda: TokenMasking(masked=0.9, random=0.2), "at most 1 together; they were 0.9 and 0.2"),
        (lambda: TokenMasking(masked=-0.1), "they were -0.1 and 0.1"),
        (lambda: TokenMasking(weight=0.0), "the weight of TokenMasking must be above 0; it was 0.0"),
        (lambda: WholeWordMasking(segmenter="jeiba"), "unknown segmenter 'jeiba'. Did you mean 'jieba'"),  # type: ignore[arg-type]
        (lambda: NextSentence(ways=4), "ways is the number of relations to tell apart, 2 or 3; it was 4"),  # type: ignore[arg-type]
        (
            lambda: TokenMasking().prepare(reader("gpt2")),
            "TokenMasking is learnt by masked backbones; 'gpt2' is a causal",
        ),
        (
            lambda: CausalLm().prepare(reader("bert")),
            "CausalLm is learnt by causal backbones; 'bert' is a masked model",
        ),
    ],
)
def test_settings_that_cannot_be(make: Any, message: str) -> None:
    with pytest.raises(LabError) as error:
        make()
    assert message in str(error.value)


def test_settings_are_recorded() -> None:
    masking = WholeWordMasking(2.0, 0.3, segmenter="tokenizer")
    masking.prepare(reader("bert"))
    assert masking.settings() == {
        "objective": WORD, "weight": 2.0, "rate": 0.3, "masked": 0.8, "random": 0.1, "segmenter": "tokenizer",
    }  # fmt: skip
    assert NextSentence(ways=2).settings() == {"objective": "next_sentence", "weight": 1.0, "ways": 2}


def tiny_passages(name: str, objective: Objective, rows: int = 4) -> tuple[Any, Passages]:
    """A tiny backbone, and passages of film reviews in its tokens."""
    backbone = load_backbone(name).fresh()
    objective.prepare(backbone.reader)
    texts = [e.fields["text_a"] for e in read("rotten_tomatoes", None)[0]["train"][:40]]
    packing = FullSequences(corpus(texts, backbone.reader, [objective]), backbone.reader, 48)
    return backbone, objective.hide(packing.passages(range(rows), 5), generator())


class TestLosses:
    @pytest.mark.parametrize("objective", [TokenMasking(), WholeWordMasking(rate=0.3)])
    @torch.no_grad()
    def test_masking_has_the_loss_of_the_models_own(self, objective: Masking) -> None:
        backbone, passages = tiny_passages("tiny-masked", objective)
        chosen = passages.chosen[objective.name]
        learnt = objective.learn(backbone, backbone.hidden(passages), passages)
        labels = passages.original_ids.masked_fill(~chosen, -100)
        own = backbone.model(
            input_ids=passages.input_ids, attention_mask=passages.attention_mask,
            token_type_ids=passages.token_type_ids, labels=labels,
        )  # fmt: skip
        assert float(learnt.loss) == pytest.approx(float(own.loss), rel=1e-5)
        assert torch.equal(learnt.right_M, own.logits.argmax(-1)[chosen] == passages.original_ids[chosen])

    @torch.no_grad()
    def test_causal_language_modelling_has_the_loss_of_the_models_own(self) -> None:
        backbone, passages = tiny_passages("tiny-causal", CausalLm())
        learnt = CausalLm().learn(backbone, backbone.hidden(passages), passages)
        own = backbone.model(input_ids=passages.input_ids, labels=passages.input_ids)
        assert float(learnt.loss) == pytest.approx(float(own.loss), rel=1e-5)
        assert len(learnt.right_M) == 4 * 47
        assert passages.tokens == 4 * 48

    @torch.no_grad()
    def test_padding_is_not_asked_for(self) -> None:
        backbone, passages = tiny_passages("tiny-causal", CausalLm(), rows=1)
        padded = Passages(*(torch.nn.functional.pad(t, (0, 5)) for t in (
            passages.input_ids, passages.attention_mask, passages.original_ids,
        )))  # fmt: skip
        one, other = (CausalLm().learn(backbone, backbone.hidden(p), p) for p in (passages, padded))
        assert float(one.loss) == pytest.approx(float(other.loss), rel=1e-5)
        assert len(one.right_M) == len(other.right_M) == 47

    @torch.no_grad()
    def test_a_batch_in_which_nothing_was_chosen(self) -> None:
        backbone, passages = tiny_passages("tiny-masked", TokenMasking(rate=1e-6))
        learnt = TokenMasking().learn(backbone, backbone.hidden(passages), passages)
        assert float(learnt.loss) == 0
        assert len(learnt.right_M) == 0
