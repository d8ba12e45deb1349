"""Frames in, frames out: videos, animated images and folders of frames as streams of RGB."""

from magkit.video.folder import DEFAULT_RATE
from magkit.video.info import Frame, VideoInfo, plain_info
from magkit.video.read import VideoSource, count_frames, open_video
from magkit.video.sound import Choice
from magkit.video.write import check_output, write_video

__all__ = [
    "DEFAULT_RATE",
    "Choice",
    "Frame",
    "VideoInfo",
    "VideoSource",
    "check_output",
    "count_frames",
    "open_video",
    "plain_info",
    "write_video",
]
