"""How much of a machine the web demo gives to visitors."""

from dataclasses import dataclass

from sepnb.listening.uploads import UploadLimits


@dataclass(frozen=True)
class DemoLimits:
    """Bounds of the demo: memory, disk, time and queue follow from them, however many come."""

    upload_bytes: int = 50_000_000  # a song as MP3 has 10 MB, five minutes of CD-quality WAV 53
    song_seconds: float = 15 * 60.0  # of the whole file
    seconds: float = 60.0  # of the excerpt: five seconds of work for band-unet on two cores, a minute for Demucs
    jobs: int = 2  # separations side by side: a second visitor is served while the first waits for a long one
    light_jobs: int = 2  # pitch, equaliser, pictures and zips side by side
    queue: int = 24  # waiting, for whatever it is; who comes later is told so at once, and not after an hour
    job_seconds: float = 180.0  # one separation with the reading before it, then it stops: somebody else is waiting
    visitors: int = 500  # at one time; far more than can be served, and few enough to keep account of
    disk_bytes: int = 4_000_000_000  # of all visitors together; a minute in four stems takes about 110 MB
    keep_seconds: float = 30 * 60.0  # after a visitor was last heard of; then the files go
    sweep_seconds: float = 60.0  # how often is looked for those
    loaded_models: int = 2  # kept in memory; further ones take the place of the one not used for longest

    @property
    def upload_seconds(self) -> float:
        """How long an uploaded file is kept: its visitor may have waited behind a whole queue of the longest jobs."""
        return self.keep_seconds + self.queue * self.job_seconds / self.jobs

    @property
    def uploads(self) -> UploadLimits:
        """The part that concerns files."""
        return UploadLimits(bytes=self.upload_bytes, song_seconds=self.song_seconds, seconds=self.seconds)
