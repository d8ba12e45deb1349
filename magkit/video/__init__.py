"""Videos, recordings, animated images, folders of frames: read and written as RGB frames."""

from magkit.video.encode import WriteOptions
from magkit.video.info import DEFAULT_RATE, Frame, ReadOptions, VideoInfo, plain_info
from magkit.video.read import VideoSource, count_frames, open_video
from magkit.video.sound import AudioTracks
from magkit.video.write import check_output, write_video

__all__ = [
    "DEFAULT_RATE",
    "AudioTracks",
    "Frame",
    "ReadOptions",
    "VideoInfo",
    "VideoSource",
    "WriteOptions",
    "check_output",
    "count_frames",
    "open_video",
    "plain_info",
    "write_video",
]
