"""K examples a class: nested, disjoint, and the same on every machine."""

import hashlib
import random
from collections import Counter

import pytest

from prompt_lab.batch import Example
from prompt_lab.data.sampling import Draw, draw, fingerprint
from prompt_lab.errors import LabError

LABELS = ("no", "yes")
POOL = [Example({"text_a": f"text {i}"}, i % 2, f"train.csv:{i}") for i in range(200)]
HELD = [Example({"text_a": f"held {i}"}, i % 2) for i in range(60)]

PINNED_TRAIN = ["text 52", "text 136", "text 119", "text 57"]
PINNED = "sha256:5fc6e5ded738da11e5572b14e2466bcf248ced829127666db3d7766f42ee6cc3"


def keys(examples: tuple[Example, ...]) -> set[str]:
    return {e.key for e in examples}


def counts(examples: tuple[Example, ...]) -> dict[int | None, int]:
    return dict(Counter(e.label for e in examples))


@pytest.fixture(params=["pool", "split"])
def validation_pool(request: pytest.FixtureRequest) -> list[Example] | None:
    """Sources without and with a validation split of their own."""
    return HELD if request.param == "split" else None


class TestDraw:
    @pytest.mark.parametrize("k", [1, 8, 16, 30])
    def test_k_of_each_class_for_each_purpose_and_disjoint(self, k: int, validation_pool: list[Example] | None) -> None:
        found = draw(POOL, LABELS, k, 13, validation_pool=validation_pool)
        assert counts(found.train) == counts(found.validation) == {0: k, 1: k}
        assert len(keys(found.train) | keys(found.validation)) == 4 * k
        used = keys(found.train) | keys(found.validation)
        assert keys(found.unlabeled) == keys(tuple(POOL)) - used
        assert {e.label for e in found.unlabeled} == {None}
        assert all(e.origin for e in found.unlabeled)

    def test_a_smaller_draw_lies_inside_a_larger_one(self, validation_pool: list[Example] | None) -> None:
        small, large = (draw(POOL, LABELS, k, 13, validation_pool=validation_pool) for k in (8, 16))
        assert keys(small.train) < keys(large.train)
        assert keys(small.validation) < keys(large.validation)
        assert not keys(large.train) & keys(small.validation)

    def test_the_order_of_the_file_makes_no_difference(self, validation_pool: list[Example] | None) -> None:
        mixed = random.Random(1).sample(POOL, len(POOL))
        turned = validation_pool and validation_pool[::-1]
        first = draw(POOL, LABELS, 8, 13, validation_pool=validation_pool)
        again = draw(mixed, LABELS, 8, 13, validation_pool=turned)
        assert first == again

    def test_more_texts_in_the_pool_do_not_shuffle_it_anew(self) -> None:
        """Hashes order the texts, so one more text displaces at most one."""
        fewer, all_ = (draw(pool, LABELS, 30, 13, validation_pool=HELD) for pool in (POOL[:-2], POOL))
        assert len(keys(fewer.train) - keys(all_.train)) <= 2

    def test_every_seed_draws_its_own(self) -> None:
        drawn = [draw(POOL, LABELS, 8, seed) for seed in (0, 1, 13, -1, 10**12)]
        assert len({d.fingerprint for d in drawn}) == 5
        assert counts(drawn[0].train) == {0: 8, 1: 8}
        assert drawn[0] == draw(POOL, LABELS, 8, 0)

    def test_a_draw_is_the_same_on_every_machine(self) -> None:
        """Pinned: records of one machine are compared with those of another by this value."""
        found = draw(POOL, LABELS, 2, 13)
        assert [e.fields["text_a"] for e in found.train] == PINNED_TRAIN
        assert found.fingerprint == PINNED

    def test_a_repeated_text_never_stands_on_both_sides(self) -> None:
        """Published files that are read as they are may repeat a text."""
        for k in (16, "full"):
            found = draw([*POOL, *POOL[:100]], LABELS, k, 13)
            assert found == draw(POOL, LABELS, k, 13)
        repeated = [*POOL[:31], POOL[29]]
        assert len(draw(repeated, LABELS, 16, 13, validation_pool=HELD).train) == 32

    def test_the_order_within_a_class_is_that_of_the_documented_hash(self) -> None:
        def hashed(example: Example) -> str:
            return hashlib.sha256(f"7\n{example.key}".encode()).hexdigest()

        no = sorted((e for e in POOL if e.label == 0), key=hashed)
        found = draw(POOL, LABELS, 3, 7)
        assert list(found.train[:3]) == [no[0], no[2], no[4]]
        assert list(found.validation[:3]) == [no[1], no[3], no[5]]
        assert list(draw(POOL, LABELS, 3, 7, validation_pool=HELD).train[:3]) == no[:3]

    def test_unlabelled_texts_stand_in_no_order_of_their_labels(self) -> None:
        label = {e.key: e.label for e in POOL}
        half = draw(POOL, LABELS, 0, 13).unlabeled[:100]
        assert 30 < sum(label[e.key] or 0 for e in half) < 70


class TestSizes:
    def test_zero(self, validation_pool: list[Example] | None) -> None:
        found = draw(POOL, LABELS, 0, 13, validation_pool=validation_pool)
        assert found.train == found.validation == ()
        assert len(found.unlabeled) == len(POOL)

    def test_full_keeps_a_tenth_for_validation(self) -> None:
        found = draw(POOL, LABELS, "full", 13)
        assert counts(found.train) == {0: 90, 1: 90}
        assert counts(found.validation) == {0: 10, 1: 10}
        assert not keys(found.train) & keys(found.validation)
        assert found.unlabeled == ()
        assert found.fingerprint != draw(POOL, LABELS, "full", 14).fingerprint

    def test_full_takes_a_sources_own_validation_as_it_is(self) -> None:
        found = draw(POOL, LABELS, "full", 13, validation_pool=HELD)
        assert keys(found.train) == keys(tuple(POOL))
        assert list(found.validation) == HELD

    def test_a_validation_split_of_just_k_is_used_whole(self) -> None:
        for seed in (0, 13):
            assert keys(draw(POOL, LABELS, 30, seed, validation_pool=HELD).validation) == keys(tuple(HELD))

    def test_ready_made_splits_of_k_are_used_whole(self) -> None:
        """LM-BFF's own files hold just K of each class."""
        found = draw(POOL[:32], LABELS, 16, 13, validation_pool=HELD[:32])
        assert keys(found.train) == keys(tuple(POOL[:32]))
        assert keys(found.validation) == keys(tuple(HELD[:32]))
        assert found.unlabeled == ()

    def test_ten_times_as_many_validation_examples_must_be_asked_for(self) -> None:
        found = draw(POOL, LABELS, 4, 13, size="dev10x")
        assert counts(found.validation) == {0: 40, 1: 40}
        assert counts(draw(POOL, LABELS, 16, 13, size="dev10x").validation) == {0: 50, 1: 50}
        assert keys(draw(POOL, LABELS, 4, 13).validation) < keys(found.validation)
        assert found.train == draw(POOL, LABELS, 4, 13).train

    def test_a_validation_split_larger_than_training_is_refused(self) -> None:
        with pytest.raises(LabError, match=r"validation has 60 examples and training 20: .* --data.validation dev10x"):
            draw(POOL[:20], LABELS, "full", 13, validation_pool=HELD)
        found = draw(POOL[:20], LABELS, "full", 13, validation_pool=HELD, size="dev10x")
        assert len(found.validation) == 60


class TestRefused:
    def test_too_few_texts_of_a_class(self) -> None:
        few = [e for e in POOL if e.label == 0] + [e for e in POOL if e.label == 1][:9]
        with pytest.raises(LabError) as error:
            draw(few, LABELS, 16, 13)
        assert str(error.value) == (
            "k=16 needs 16 training texts of each label, but 'yes' has 5 (half of its training texts: the other half is kept for "
            "the other purpose). Use --data.k 5 or less, or --data.k full."
        )
        with pytest.raises(LabError, match="k=5 needs 5 validation texts of each label, but 'yes' has 4 "):
            draw(few, LABELS, 5, 13)
        draw(few, LABELS, 4, 13)

    def test_too_few_with_a_validation_split(self) -> None:
        with pytest.raises(
            LabError, match=r"needs 31 validation texts of each label, but 'no' has 30\. Use --data.k 30"
        ):
            draw(POOL, LABELS, 31, 13, validation_pool=HELD)
        with pytest.raises(LabError, match=r"needs 101 training texts of each label, but 'no' has 100\."):
            draw(POOL, LABELS, 101, 13, validation_pool=HELD)

    def test_a_class_without_texts(self) -> None:
        with pytest.raises(LabError, match="'maybe' has 0"):
            draw(POOL, ("no", "yes", "maybe"), 1, 13)

    def test_a_negative_k(self) -> None:
        with pytest.raises(LabError, match="0 or more, or 'full'; it was -1"):
            draw(POOL, LABELS, -1, 13)


class TestFingerprint:
    def test_covers_texts_labels_and_purpose(self) -> None:
        a, b = Example({"text_a": "a"}, 0), Example({"text_a": "b"}, 0)
        prints = [
            fingerprint([a], [b]),
            fingerprint([b], [a]),
            fingerprint([a, b]),
            fingerprint([a], [Example({"text_a": "b"}, 1)]),
            fingerprint([a], [Example({"text_b": "b"}, 0)]),
        ]
        assert len(set(prints)) == 5
        assert all(p.startswith("sha256:") and len(p) == 71 for p in prints)

    def test_is_blind_to_where_a_text_was_read(self) -> None:
        here, there = (Draw((Example({"text_a": "a"}, 0, origin),), (), ()) for origin in ("x:1", "y:2"))
        assert here.fingerprint == there.fingerprint

    def test_key_of_a_text_is_pinned(self) -> None:
        text = {"text_b": "ü", "text_a": "好"}
        assert Example(text, 1).key == Example(dict(sorted(text.items())), 0, "z").key
        assert Example(text).key == hashlib.sha256('{"text_a": "好", "text_b": "ü"}'.encode()).hexdigest()
