"""What the reference says beside the commands."""

from __future__ import annotations

WHAT = (
    "magkit turns a video into one in which small motions are larger, trains the networks that do"
    " it, and turns noise into what a trained network takes for the pictures it was trained on."
)
HOW = (
    "Results go to standard output, everything else to standard error. Outputs are written whole"
    " or not at all, and replace nothing without --overwrite, but for reports. Trainings and long"
    " jobs go on where they were stopped when the same command is given again."
)

SETTINGS = (
    "Every option can be set in three more places: a file (--config FILE.toml, whose keys are the"
    " options' names), the environment (MAGKIT_THREADS for --threads), and the command line, each"
    " of which outdoes the one before."
)

ENVIRONMENT = (
    ("MAGKIT_<OPTION>", "The value of an option: MAGKIT_CAPTURE_FPS is --capture-fps."),
    ("MAGKIT_CACHE", "The folder for what is worth keeping; ~/.cache/magkit if unset."),
    ("MAGKIT_DAVIS", "Where DAVIS lies, for magkit invert."),
    ("MAGKIT_PLUGINS", "Load only these plugins, separated by commas; none if empty."),
    ("MAGKIT_DISABLE_PLUGINS", "Leave these plugins out."),
    ("MAGKIT_STRICT_PLUGINS", "1: raise what a broken plugin raised, with its traceback."),
    ("MAGKIT_DEBUG", "1: show the traceback of what went wrong."),
)

EXITS = (
    ("0", "All is done."),
    ("1", "It failed; standard error says why in one sentence."),
    ("2", "Wrong use: an unknown option, a value out of its range."),
    ("130", "Interrupted by Ctrl-C."),
    ("143", "Terminated by SIGTERM."),
)

EXAMPLES = (
    ("magkit demo", "Render a clip, magnify it, and measure the result."),
    ("magkit magnify clip.mp4 --factor 20 --band 0.4-3", "What moves between 0.4 and 3 Hz."),
    ("magkit pretrain --method scrl", "Train an encoder without labels."),
    ("magkit finetune --encoder runs/pretrain-001", "Train a magnifier from there."),
    ("magkit invert --video bear --frames all", "Noise, until a network sees DAVIS' bear."),
)
