"""The protocols by name: what is judged, and how."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from magkit.evaluate import cases, clips, magnifier
from magkit.evaluate.cases import Case
from magkit.evaluate.magnifier import Score
from magkit.evaluate.report import report
from magkit.progress import Progress, silent
from magkit.protocols import Magnifier
from magkit.synth.render import Sources


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """How a magnifier is judged.

    Attributes:
        cases: yields the scenes, from the sources, how many of each kind, and a seed.
        axes: the fields of a score by which results are told apart; curves are drawn over the
            first.
        repeats: how many scenes of each kind unless told otherwise.
        whole_clips: whether a scene is a clip that goes through `magnify`, or two frames.
    """

    cases: Callable[[Sources, int, int], Iterator[Case]]
    axes: Sequence[str]
    repeats: int = 5
    whole_clips: bool = False

    def scores(
        self,
        model: Magnifier,
        judged: Iterable[Case],
        sources: Sources,
        *,
        noise: float = 0.0,
        seed: int = 0,
        device: torch.device | str = "cpu",
    ) -> Iterable[Score]:
        """Yield the score of each case as it is measured.

        Args:
            model: the magnifier, on `device`.
            judged: what `cases` yielded.
            sources: what the scenes are made of.
            noise: standard deviation of Gaussian noise on the input; 1 is white.
            seed: of that noise.
            device: where frames are rendered and magnified.

        Raises:
            MagkitError: the magnifier's stride doesn't divide the side of the frames.
        """
        if self.whole_clips:
            return clips.evaluate_clips(
                model, judged, sources, noise=noise, seed=seed, device=device
            )
        predict = magnifier.predictor(model)
        if noise:
            predict = magnifier.with_noise(predict, noise, seed)
        return magnifier.evaluate(predict, judged, sources, device)

    def report(
        self,
        model: Magnifier,
        judged: Sequence[Case],
        sources: Sources,
        *,
        noise: float = 0.0,
        seed: int = 0,
        device: torch.device | str = "cpu",
        progress: Progress = silent,
    ) -> dict[str, Any]:
        """Return the report of all scores (`report.report`), and of still clips as "still".

        The arguments are those of `scores`; `progress` hears of every scene.
        """
        records = []
        scores = self.scores(model, judged, sources, noise=noise, seed=seed, device=device)
        for score in scores:
            records.append(score.as_dict())
            progress(len(records), len(judged))
        still = clips.measure_still(model, sources, seed=seed, device=device)
        return {**report(records, self.axes), "still": still.as_dict()}


PROTOCOLS = {
    "gain": Protocol(cases=cases.cases, axes=("displacement", "factor")),
    "subpixel": Protocol(cases=cases.subpixel_cases, axes=("displacement",)),
    "noise": Protocol(cases=cases.noise_cases, axes=("photon_noise",)),
    "sinusoid": Protocol(
        cases=cases.sinusoid_cases, axes=("factor",), repeats=10, whole_clips=True
    ),
}
