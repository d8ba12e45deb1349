"""Which pictures of classes are made, how large, in which batches, and what is refused."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from magkit.errors import MagkitError, UsageError
from magkit.invert.plan import MAX_NAME, ClassPlan, folder_names, plan_classes
from magkit.invert.settings import InvertSettings, make_settings
from magkit.invert.targets.load import TargetChoice, load_target

Tiny = Callable[..., TargetChoice]
CPU = torch.device("cpu")


def planned(
    asked: str, *targets: TargetChoice, per_class: int = 2, settings: InvertSettings | None = None
) -> ClassPlan:
    wanted = settings or make_settings("classes")
    return plan_classes(asked, per_class, [load_target(each, CPU) for each in targets], wanted)


@pytest.mark.parametrize(
    ("asked", "labels"),
    [
        ("all", ("red", "green", "blue")),
        ("blue,red", ("blue", "red")),
        (" green , green", ("green",)),
    ],
)
def test_classes_by_name(tiny: Tiny, asked: str, labels: tuple[str, ...]) -> None:
    assert planned(asked, tiny()).labels == labels


def test_all_is_what_every_target_knows(tiny: Tiny) -> None:
    other = tiny("classes=blue,grey,red")
    assert planned("all", tiny(), other).labels == ("red", "blue")
    with pytest.raises(UsageError, match="'tiny' knows no class 'green'"):
        planned("red,green", tiny(), other)
    with pytest.raises(UsageError, match="no class in common"):
        planned("all", tiny(), tiny("classes=a,b,c"))


@pytest.mark.parametrize(
    ("asked", "words", "hint"),
    [
        ("gren", "'tiny' knows no class 'gren'", "did you mean 'green'"),
        ("red,any", "no class 'any'", "known: red, green, blue"),
        ("", "'' is no list of classes", "or all"),
        ("red,,blue", "'red,,blue' is no list of classes", "or all"),
        ("all,red", "no class 'all'", "known: red, green, blue"),
    ],
)
def test_classes_that_there_are_not(tiny: Tiny, asked: str, words: str, hint: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        planned(asked, tiny())
    assert hint in caught.value.hint


@pytest.mark.parametrize(("height", "size"), [(0, (32, 48)), (64, (64, 96)), (33, (33, 50))])
def test_pictures_are_as_large_as_those_that_the_target_was_trained_on(
    tiny: Tiny, height: int, size: tuple[int, int]
) -> None:
    assert planned("all", tiny(), settings=make_settings("classes", {"size": height})).size == size


def test_a_target_of_no_size(tiny: Tiny) -> None:
    sizeless = tiny("fault=sizeless")
    with pytest.raises(UsageError, match="doesn't say how large") as caught:
        planned("all", sizeless)
    assert "--size" in caught.value.hint
    assert planned("all", sizeless, settings=make_settings("classes", {"size": 40})).size == (
        40,
        40,
    )
    assert planned("all", sizeless, tiny()).size == (32, 48), "another one says it"


def test_what_a_target_can_t_do(tiny: Tiny) -> None:
    with pytest.raises(UsageError, match="can't be asked for classes alone: it needs the mask"):
        planned("all", tiny("fault=masks"))
    with pytest.raises(UsageError, match="sides are multiples of 5, not 48x32"):
        planned("all", tiny("stride=5"))
    with pytest.raises(MagkitError, match="remembers no statistics") as caught:
        planned("all", tiny("fault=forgetful"))
    assert "--bn 0" in caught.value.hint
    without = make_settings("classes", {"bn": 0})
    assert planned("all", tiny("fault=forgetful"), settings=without).labels


def test_a_detector_needs_masks() -> None:
    settings = make_settings("classes", {"size": 64})
    for name in ("maskrcnn-small", "segmenter"):
        with pytest.raises(
            UsageError, match=f"'{name}' can't be asked for classes alone"
        ) as caught:
            planned("bear", TargetChoice(name), settings=settings)
        assert "--target names a classifier; --video or --masks" in caught.value.hint


@given(classes=st.integers(1, 12), per_class=st.integers(1, 12), batch=st.integers(1, 40))
def test_every_picture_is_in_one_batch(classes: int, per_class: int, batch: int) -> None:
    labels = tuple(f"c{n}" for n in range(classes))
    settings = make_settings("classes", {"batch": batch})
    plan = ClassPlan(labels=labels, per_class=per_class, size=(32, 32), settings=settings)
    batches = plan.batches()
    dealt = [picture for each in batches for picture in each]
    assert sorted(dealt, key=lambda p: p.stem) == sorted(plan.pictures(), key=lambda p: p.stem)
    assert len({picture.stem for picture in dealt}) == classes * per_class
    sizes = [len(each) for each in batches]
    assert max(sizes) <= batch
    assert max(sizes) - min(sizes) <= 1
    assert len(sizes) == -(-classes * per_class // batch), "no more than are needed"


def test_classes_are_mixed_in_a_batch() -> None:
    labels = tuple(f"c{n}" for n in range(10))
    plan = ClassPlan(
        labels=labels, per_class=10, size=(32, 32), settings=make_settings("classes", {"batch": 50})
    )
    for each in plan.batches():
        assert {picture.label for picture in each} == set(labels)
    many = ClassPlan(
        labels=tuple(f"c{n:04d}" for n in range(1000)),
        per_class=1,
        size=(32, 32),
        settings=make_settings("classes", {"batch": 50}),
    )
    first = sorted(int(picture.label[1:]) for picture in many.batches()[0])
    assert first == list(range(0, 1000, 20)), "of the whole list, not neighbours"


def test_files_are_named_by_class_and_number() -> None:
    plan = ClassPlan(
        labels=("red", "sky blue"), per_class=101, size=(32, 32), settings=make_settings("classes")
    )
    stems = [picture.stem for picture in plan.pictures()]
    assert (stems[0], stems[-1]) == ("red/000", "sky blue/100")


@given(st.lists(st.text(max_size=70), unique=True, max_size=8))
def test_no_class_leads_out_of_the_folder(labels: list[str]) -> None:
    names = folder_names(labels)
    assert len({name.casefold() for name in names}) == len(labels)
    for name in names:
        assert name
        assert name == name.strip()
        assert not set(name) & set('./\\:*?"<>|\0')
        assert len(name) <= MAX_NAME + 3


def test_names_of_folders() -> None:
    assert folder_names(["bird", "../bird", "Bird", "CON", "", "a-2", "A", "a"]) == [
        *("bird", "---bird", "Bird-2", "CON-2", "class", "a-2", "A", "a-3")
    ]
