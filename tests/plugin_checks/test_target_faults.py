"""Targets that are broken in one way each, and the check that tells."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from magkit import Annotation, Statistic, TargetSpec
from magkit.testing import Check, target_checks

NAMES = ("cat", "dog", "cow")  # of the toy's classes

Damage = Callable[[Any], None]
Damaged = Callable[..., TargetSpec[Any]]
Asked = Callable[[TargetSpec[Any], str], Check]


def test_the_toy_itself_is_whole(damaged: Damaged) -> None:
    for each in target_checks(damaged(), size=(64, 96)):
        if each.name != "spec-is-light":  # a spec that is written in a test has no module
            each()


# What is done to the toy. Python takes a function that is an object's own attribute as it is.


def has_a_size_of_its_own_that_it_cannot_see(toy: Any) -> None:
    toy.size = (30, 32)


def hides_its_model(toy: Any) -> None:
    toy.model = toy.model.forward


def takes_any_word_for_a_class(toy: Any) -> None:
    whole = toy.labels
    toy.labels = lambda asked: whole([[replace(each, label="cat") for each in p] for p in asked])


def stumbles_over_a_class(toy: Any) -> None:
    whole = toy.labels

    def labels(asked: Any) -> Any:
        numbers = dict.fromkeys((*NAMES, "any"), 0)
        assert all(numbers[each.label] == 0 for picture in asked for each in picture)
        return whole(asked)

    toy.labels = labels


def makes_labels_that_stay(toy: Any) -> None:
    whole = toy.labels
    toy.labels = lambda asked: vars(whole(asked))
    toy.losses = lambda images, _labels: {"size": toy.model(images).mean()}


def does_not_look(toy: Any) -> None:
    whole = toy.losses
    toy.losses = lambda images, labels: whole(images.detach(), labels)


def looks_at_the_first_alone(toy: Any) -> None:
    toy.losses = lambda images, _labels: {"size": toy.model(images[:1]).mean()}


def adds_a_term_of_nothing(toy: Any) -> None:
    whole = toy.losses
    toy.losses = lambda images, labels: {**whole(images, labels), "none": (images * 0).sum()}


def takes_a_root_of_nothing(toy: Any) -> None:
    whole = toy.losses
    toy.losses = lambda images, labels: {
        **whole(images, labels),
        "root": (images * 0).square().sum().sqrt(),
    }


def fails_beyond_the_range(toy: Any) -> None:
    toy.losses = lambda images, _labels: {"log": images.log().mean()}


def moving(toy: Any, moved: Callable[[Any, Tensor, Any], Any]) -> None:
    class Wrong:
        def __init__(self, true: Any) -> None:
            self.true, self.masks_N1HW, self.classes_N = true, true.masks_N1HW, true.classes_N

        def moved(self, maps: Tensor, size: Any, /) -> Any:
            return moved(self.true, maps, size)

    whole = toy.labels
    toy.labels = lambda asked: Wrong(whole(asked))


def leaves_labels_where_they_are(toy: Any) -> None:
    moving(toy, lambda labels, _maps, _size: labels)


def moves_all_by_the_first_map(toy: Any) -> None:
    moving(toy, lambda labels, maps, size: labels.moved(maps[[0, 0]], size))


def moves_the_other_way(toy: Any) -> None:
    def moved(labels: Any, maps: Tensor, size: Any) -> Any:
        back = maps.clone()
        back[1, :, 2] *= -1
        return labels.moved(back, size)

    moving(toy, moved)


def forgets_where_it_was(toy: Any) -> None:
    def moved(labels: Any, _maps: Tensor, size: Any) -> Any:
        masks = labels.masks_N1HW.mean((2, 3), keepdim=True).expand(-1, -1, *size)
        return replace(labels, masks_N1HW=masks)

    moving(toy, moved)


def keeps_the_size(toy: Any) -> None:
    moving(toy, lambda labels, maps, _size: labels.moved(maps, (64, 96)))


def remembers_nothing(toy: Any) -> None:
    toy.statistics = list


def remembering(toy: Any, *found: Statistic) -> None:
    toy.statistics = lambda: found


def remembers_of_another_model(toy: Any) -> None:
    other = nn.BatchNorm2d(8)
    remembering(toy, Statistic("1", other, other.running_mean, other.running_var))  # type: ignore[arg-type]


def remembers_another_layer(toy: Any) -> None:
    (own,) = toy.statistics()
    remembering(toy, replace(own, module=toy.model[0]))


def remembers_one_variance(toy: Any) -> None:
    (own,) = toy.statistics()
    remembering(toy, replace(own, variance_C=own.variance_C[:1]))


def remembers_less_than_nothing(toy: Any) -> None:
    (own,) = toy.statistics()
    remembering(toy, replace(own, variance_C=-own.variance_C))


def remembers_under_one_name(toy: Any) -> None:
    (own,) = toy.statistics()
    remembering(toy, own, own)


def passes_a_layer_by(toy: Any) -> None:
    toy.spare = nn.BatchNorm2d(8).eval().requires_grad_(False)
    (own,) = toy.statistics()
    remembering(toy, own, replace(own, name="spare", module=toy.spare))


def predicting(toy: Any, change: Callable[[list[Annotation]], list[Annotation]]) -> None:
    whole = toy.predict
    toy.predict = lambda images: [change(seen) for seen in whole(images)]


def sees_the_first_picture_alone(toy: Any) -> None:
    whole = toy.predict
    toy.predict = lambda images: whole(images)[:1]


def lets_itself_be_trained(toy: Any) -> None:
    toy.model.requires_grad_(True)


def goes_on_learning(toy: Any) -> None:
    toy.model.train()


def draws_at_random(toy: Any) -> None:
    whole = toy.losses
    toy.losses = lambda images, labels: {"mask": whole(images, labels)["mask"] * torch.rand(())}


def predicts_at_random(toy: Any) -> None:
    predicting(toy, lambda seen: [replace(seen[0], score=float(torch.rand(())))])


def shuffles_names(toy: Any) -> None:
    toy.turn = 0

    def shuffled(seen: list[Annotation]) -> list[Annotation]:
        toy.turn += 1
        return [replace(a, label=NAMES[(n + toy.turn) % 3]) for n, a in enumerate(seen)]

    predicting(toy, shuffled)


def draws_masks(toy: Any) -> None:
    predicting(toy, lambda seen: [replace(a, mask_HW=torch.rand(64, 96)) for a in seen])


def names_by_place(toy: Any) -> None:
    whole = toy.predict
    toy.predict = lambda images: [
        [replace(a, label=NAMES[(NAMES.index(a.label) + place) % 3]) for a in seen]
        for place, seen in enumerate(whole(images))
    ]


def shows_masks_of_the_first(toy: Any) -> None:
    whole = toy.predict

    def predict(images: Tensor) -> list[list[Annotation]]:
        first, *rest = whole(images)
        masks = {each.label: each.mask_HW for each in first}
        return [first, *([replace(a, mask_HW=masks[a.label]) for a in seen] for seen in rest)]

    toy.predict = predict


def forgets_masks_of_one(toy: Any) -> None:
    whole = toy.predict
    toy.predict = lambda images: [
        [replace(a, mask_HW=a.mask_HW if len(images) > 1 else None) for a in seen]
        for seen in whole(images)
    ]


def compares_pictures(toy: Any) -> None:
    whole = toy.predict
    toy.predict = lambda images: whole(images - images.mean(0))


def adds_pictures_up(toy: Any) -> None:
    whole = toy.losses
    toy.losses = lambda images, labels: {"mask": whole(images, labels)["mask"] * len(images)}


REACH, MOVE = "gradients-reach-the-pictures", "labels-move-with-the-picture"
FOUND, SEES = "statistics-are-found", "predicts-known-classes-surest-first"
STAYS, AGAIN = "model-stays-as-it-is", "says-the-same-each-time"
ALONE = "sees-a-picture-alone-as-among-others"
FAULTS: list[tuple[Damage, str, str]] = [
    (has_a_size_of_its_own_that_it_cannot_see, "builds", "own size is 30 x 32"),
    (hides_its_model, "builds", r"no attribute of the target is a torch\.nn\.Module"),
    (takes_any_word_for_a_class, "labels-know-classes", "not there without a word"),
    (stumbles_over_a_class, "labels-know-classes", "not there for KeyError"),
    (makes_labels_that_stay, "labels-know-classes", "can't be moved"),
    (does_not_look, REACH, "'mask' doesn't depend on the pictures"),
    (looks_at_the_first_alone, REACH, "'size' reaches both pictures"),
    (adds_a_term_of_nothing, REACH, "'none' reaches both pictures"),
    (takes_a_root_of_nothing, REACH, "'root' is not finite"),
    (fails_beyond_the_range, REACH, "'log' is (nan|-inf)"),
    (leaves_labels_where_they_are, MOVE, "labels mirrored, and shifted by 12 and -8 pixels"),
    (moves_all_by_the_first_map, MOVE, "labels mirrored, and shifted"),
    (moves_the_other_way, MOVE, "labels mirrored, and shifted"),
    (keeps_the_size, MOVE, r"Target size \(.*\) must be the same as input size"),
    (forgets_where_it_was, MOVE, "labels not moved at all give losses of mask"),
    (remembers_nothing, FOUND, "statistics is empty, and 1 layers"),
    (remembers_of_another_model, FOUND, "'1' is no part of the model"),
    (remembers_another_layer, FOUND, "'1' sees 3 channels and its statistic has 8"),
    (remembers_one_variance, FOUND, r"means \(8,\) and variances \(1,\)"),
    (remembers_less_than_nothing, FOUND, "a variance below 0"),
    (remembers_under_one_name, FOUND, "bear one name"),
    (passes_a_layer_by, FOUND, "losses passes the layer 'spare' by"),
    (sees_the_first_picture_alone, SEES, "returns 1 lists for 3 pictures"),
    (lets_itself_be_trained, STAYS, "6 parameters of the model need gradients, .*0.weight"),
    (goes_on_learning, STAYS, "change 1.running_mean, 1.running_var, 1.num_batches_tracked"),
    (draws_at_random, AGAIN, "the same pictures have losses of mask"),
    (predicts_at_random, AGAIN, "predict sees something else in the same pictures"),
    (shuffles_names, AGAIN, r"the same pictures \(labels '\w+' and '\w+' of one score\)"),
    (draws_masks, AGAIN, r"the same pictures \(two masks of '\w+'\)"),
    (names_by_place, ALONE, r"beside another \(labels '\w+' and '\w+' of one score\)"),
    (shows_masks_of_the_first, ALONE, r"beside another \(two masks of '\w+'\)"),
    (forgets_masks_of_one, ALONE, r"beside another \(two masks of '\w+'\)"),
    (compares_pictures, ALONE, "predict sees something else in a picture beside another"),
    (adds_pictures_up, ALONE, "be means over pictures"),
]


@pytest.mark.parametrize(
    ("damage", "name", "sentence"), FAULTS, ids=[f[0].__name__ for f in FAULTS]
)
def test_a_target_with_a_fault(
    damaged: Damaged, asked: Asked, damage: Damage, name: str, sentence: str
) -> None:
    with pytest.raises(AssertionError, match=sentence):
        asked(damaged(damage), name)()
